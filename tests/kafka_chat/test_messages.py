import json
import uuid

import pytest

from kafka_chat.messages import Answer, Question, UnreadableMessage

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
