import json
import uuid
from typing import ClassVar

import pytest

from kafka_chat import messages
from kafka_chat.messages import Answer, Envelope, Question, UnreadableMessage

IDS = {"message_id": str(uuid.uuid4()), "session_id": str(uuid.uuid4()), "trace_id": str(uuid.uuid4())}


def test_what_is_encoded_decodes_to_the_same() -> None:
    question = Question.model_validate(IDS | {"message": "Grüße, 世界 🎉"})
    assert Question.decode(question.encode()) == question


def test_the_headers_name_message_trace_and_schema() -> None:
    question = Question.model_validate(IDS | {"message": "hi"})
    assert question.headers() == {
        "message_id": IDS["message_id"],
        "trace_id": IDS["trace_id"],
        "schema": "question/1",
        "content_type": "application/json",
    }


def test_one_visitor_s_messages_share_a_key() -> None:
    question = Question.model_validate(IDS | {"message": "hi"})
    answer = Answer.model_validate(IDS | {"response": "hello"})
    assert question.key() == answer.key() == uuid.UUID(IDS["session_id"]).bytes


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        json.dumps(IDS).encode(),
        json.dumps(IDS | {"message": ""}).encode(),
        json.dumps(IDS | {"message": "x" * 4001}).encode(),
        json.dumps(IDS | {"message": "x", "message_id": "7"}).encode(),
        json.dumps(IDS | {"message": "x", "version": 0}).encode(),
    ],
)
def test_what_is_no_question_is_refused(value: bytes | None) -> None:
    with pytest.raises(UnreadableMessage):
        Question.decode(value)


def test_a_newer_version_is_refused_with_both_numbers() -> None:
    with pytest.raises(UnreadableMessage, match="version 2 is newer than 1"):
        Question.decode(json.dumps(IDS | {"message": "x", "version": 2}).encode())


def test_a_field_from_the_future_does_not_stop_a_reader() -> None:
    assert Question.decode(json.dumps(IDS | {"message": "x", "mood": "good"}).encode()).message == "x"


def test_the_reason_does_not_repeat_the_visitor_s_words() -> None:
    with pytest.raises(UnreadableMessage) as caught:
        Question.decode(json.dumps(IDS | {"message": "secret " * 1000}).encode())
    assert "secret" not in str(caught.value)


class Letter(Envelope):
    """A message that is in its second version; the first had no mood."""

    schema_name: ClassVar[str] = "letter"
    newest_version: ClassVar[int] = 2

    text: str
    mood: str = "not known"


@pytest.mark.parametrize("fields", [{}, {"version": 1}])
def test_an_older_version_still_reads(fields: dict[str, int]) -> None:
    letter = Letter.decode(json.dumps(IDS | fields | {"text": "x"}).encode())
    assert (letter.version, letter.text, letter.mood) == (1, "x", "not known")


def test_what_is_sent_says_the_newest_version() -> None:
    letter = Letter.decode(json.dumps(IDS | {"text": "x"}).encode())
    assert json.loads(letter.encode())["version"] == 2
    assert letter.headers()["schema"] == "letter/2"
    assert Letter.decode(letter.encode()).version == 2


def test_a_newer_version_is_named_even_where_its_fields_are_others() -> None:
    with pytest.raises(UnreadableMessage, match="version 3 is newer than 2"):
        Letter.decode(json.dumps({"version": 3, "content": "x"}).encode())


@pytest.mark.parametrize("message", messages.ALL, ids=lambda message: message.schema_name)
def test_the_json_schema_is_the_model_s(message: type[Envelope]) -> None:
    said = "Run `python -m kafka_chat.messages`: the models have changed."
    assert message.json_schema_file().read_text(encoding="utf-8") == message.json_schema(), said


def test_there_is_no_schema_without_a_message() -> None:
    assert set(messages.SCHEMAS.iterdir()) == {message.json_schema_file() for message in messages.ALL}


def test_every_field_of_a_schema_says_what_it_means() -> None:
    for message in messages.ALL:
        schema = json.loads(message.json_schema())
        assert schema["description"]
        assert [name for name, field in schema["properties"].items() if not field.get("description")] == []
