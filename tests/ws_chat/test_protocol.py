import json
import uuid

import pytest
from pydantic import TypeAdapter

from ws_chat import protocol


def _code(frame: str | None) -> str:
    with pytest.raises(protocol.Refused) as caught:
        protocol.read(frame)
    assert caught.value.message.endswith(".")
    return caught.value.code


def test_the_frames_of_a_client_are_read() -> None:
    run = uuid.uuid4()
    resume = json.dumps({"type": "resume", "run": str(run), "after": 7})
    assert protocol.read(resume) == protocol.Resume(type="resume", run=run, after=7)
    assert protocol.read('{"type": "ask", "text": "  Hello  "}') == protocol.Ask(type="ask", text="Hello")
    stop = json.dumps({"type": "stop", "run": str(run), "seen": 3})
    assert protocol.read(stop) == protocol.Stop(type="stop", run=run, seen=3)
    again = json.dumps({"type": "ask", "text": "Hello", "turn": str(run)})
    assert protocol.read(again) == protocol.Ask(type="ask", text="Hello", turn=run)
    rate = {"type": "rate", "run": str(run), "rating": "down", "comment": " Wrong. "}
    assert protocol.read(json.dumps(rate)) == protocol.Rate(type="rate", run=run, rating="down", comment="Wrong.")
    assert protocol.read('{"type": "clear"}') == protocol.Clear(type="clear")
    assert protocol.read('{"type": "ping"}') == protocol.Ping(type="ping")


@pytest.mark.parametrize("text", ["a" * 4000, "é" * 4000, "🎭" * 4000, "line\nline\ttab"])
def test_long_texts_of_any_script_are_read_to_the_limit(text: str) -> None:
    assert protocol.read(json.dumps({"type": "ask", "text": text})) == protocol.Ask(type="ask", text=text)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "malformed"),
        ("{", "malformed"),
        ("nonsense", "malformed"),
        ("[" * 30_000, "malformed"),
        ('{"type": "ask", "text": "\\ud83d"}', "malformed"),
        ("[]", "invalid_frame"),
        ("null", "invalid_frame"),
        ("{}", "unknown_type"),
        ('{"type": "resume"}', "invalid_frame"),
        ('{"type": "resume", "run": "0190163d-8694-739b-aea5-966c26f8ad91", "after": 1e300}', "invalid_frame"),
        ('{"type": "rewind"}', "unknown_type"),
        ('{"type": 1}', "unknown_type"),
        ('{"type": "ask"}', "invalid_frame"),
        ('{"type": "ask", "text": 5}', "invalid_frame"),
        ('{"type": "ask", "text": "x", "more": 1}', "invalid_frame"),
        ('{"type": "ask", "text": ""}', "empty_message"),
        ('{"type": "ask", "text": " \\n\\t "}', "empty_message"),
        ('{"type": "ask", "text": "a\\u0000b"}', "unreadable_characters"),
        ('{"type": "stop", "run": "x", "seen": 0}', "invalid_frame"),
        ('{"type": "stop", "run": "0190163d-8694-739b-aea5-966c26f8ad91", "seen": -1}', "invalid_frame"),
        ('{"type": "ask", "text": "x", "turn": "y"}', "invalid_frame"),
        ('{"type": "rate", "run": "0190163d-8694-739b-aea5-966c26f8ad91"}', "invalid_frame"),
        ('{"type": "rate", "run": "0190163d-8694-739b-aea5-966c26f8ad91", "rating": ""}', "invalid_frame"),
        ('{"type": "clear", "all": true}', "invalid_frame"),
        (None, "binary"),
    ],
)
def test_anything_else_is_refused_with_a_code_and_a_sentence(frame: str | None, code: str) -> None:
    assert _code(frame) == code


def test_too_much_is_refused() -> None:
    assert _code(json.dumps({"type": "ask", "text": "a" * 4001})) == "message_too_long"
    assert _code(json.dumps({"type": "ask", "text": "a" * protocol.MAX_FRAME})) == "too_large"
    assert _code("é" * (protocol.MAX_FRAME // 2 + 1)) == "too_large"


def test_the_schema_that_is_checked_in_is_current() -> None:
    stored = json.loads(protocol.SCHEMA.read_text(encoding="utf-8"))
    assert stored == protocol.schema(), "run: python manage.py ws_protocol"


@pytest.mark.parametrize("kind", ["ask", "resume", "stop", "rate", "clear", "ping"])
def test_the_schema_names_every_frame_of_a_client(kind: str) -> None:
    assert kind in protocol.schema()["properties"]["client"]["discriminator"]["mapping"]


@pytest.mark.parametrize("text", ["plain ", 'quoted " and \\ and \n\t\x1f', "\u00e9\u4e2d\U0001f600\u2028", ""])
@pytest.mark.parametrize("restart", [False, True])
def test_a_delta_is_written_as_its_model_says(text: str, restart: bool) -> None:
    delta = protocol.Delta(run=uuid.uuid4(), seq=7, text=text, restart=restart)
    as_modelled = TypeAdapter(protocol.Delta).dump_json(delta)
    assert json.loads(protocol.encode(delta)) == json.loads(as_modelled)
    assert json.loads(protocol.encode(delta))["type"] == "delta"
