import json

import pytest

from data_agent import protocol
from data_agent.protocol import BadFrame

STEP = "0199f2c1-5d7e-4b6a-9c3f-2a1d8e4b7c60"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "bad_frame"),
        ("", "bad_json"),
        ("{", "bad_json"),
        ("\ud800", "bad_json"),
        ("[]", "bad_frame"),
        ("null", "bad_frame"),
        ("{}", "unknown_type"),
        ('{"type": "drop"}', "unknown_type"),
        ('{"type": 5}', "unknown_type"),
        ('{"type": "ask"}', "bad_frame"),
        ('{"type": "ask", "text": 5}', "bad_frame"),
        ('{"type": "ask", "text": "x", "more": 1}', "bad_frame"),
        ('{"type": "ask", "text": "x", "session": "y"}', "bad_frame"),
        ('{"type": "ask", "text": ""}', "empty"),
        ('{"type": "ask", "text": " \\n\\t "}', "empty"),
        (json.dumps({"type": "ask", "text": "x" * 4_001}), "too_long"),
        (json.dumps({"type": "edit", "step": STEP, "sql": "x" * 70_000}), "too_long"),
        (json.dumps({"type": "approve", "step": STEP, "sha256": "short"}), "bad_frame"),
        (json.dumps({"type": "approve", "step": "1", "sha256": "0" * 64}), "bad_frame"),
        (json.dumps({"type": "reject", "step": STEP, "reason": "x" * 1_001}), "bad_frame"),
    ],
)
def test_what_cannot_be_used_is_named_in_words(text: str | None, code: str) -> None:
    with pytest.raises(BadFrame) as caught:
        protocol.parse(text)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")
    assert "pydantic" not in str(caught.value)


def test_a_question_of_4000_characters_is_taken_without_the_space_around_it() -> None:
    frame = protocol.parse(json.dumps({"type": "ask", "text": "  " + "ü" * 4_000 + "\n"}))
    assert isinstance(frame, protocol.Ask)
    assert frame.text == "ü" * 4_000
