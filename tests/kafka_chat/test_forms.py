import json

import pytest

from kafka_chat.forms import InvalidInput, read_ask, read_idempotency_key, read_page_form


def _body(message: object) -> bytes:
    return json.dumps({"message": message}).encode()


def test_the_message_is_stripped() -> None:
    assert read_ask(_body("  hello\n")).message == "hello"


def test_line_ends_tabs_and_any_script_are_welcome() -> None:
    text = "a\tb\r\nc ж 中 🎉 é"
    assert read_ask(_body(text)).message == text


def test_four_thousand_characters_are_accepted_and_one_more_is_not() -> None:
    assert len(read_ask(_body("é" * 4000)).message) == 4000
    with pytest.raises(InvalidInput) as caught:
        read_ask(_body("é" * 4001))
    assert caught.value.code == "message_too_long"
    assert "4,000" in caught.value.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"hello"', "invalid_json"),
        (b'{"message": "x", "admin": true}', "invalid_json"),
        (b'{"message": "\\ud800"}', "invalid_json"),
        (b"[" * 10_000, "invalid_json"),
        (b'{"message": "\xff"}', "not_utf8"),
        ("{}".encode("utf-16"), "not_utf8"),
        (b"{}", "no_message"),
        (_body(None), "no_message"),
        (_body(7), "no_message"),
        (_body(["x"]), "no_message"),
        (_body(""), "empty_message"),
        (_body(" \n\t "), "empty_message"),
        (_body("a\x00b"), "unreadable_characters"),
        (_body("a\x1bb"), "unreadable_characters"),
    ],
)
def test_bad_input_has_a_code_and_a_sentence(body: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_ask(body)
    assert caught.value.code == code
    assert caught.value.message.endswith((".", "}."))


@pytest.mark.parametrize("value", ["", " ", "a b", "a" * 129, "naïve", "a\nb"])
def test_an_idempotency_key_is_short_and_visible(value: str) -> None:
    with pytest.raises(InvalidInput):
        read_idempotency_key(value)


def test_an_idempotency_key_is_optional() -> None:
    assert read_idempotency_key(None) is None
    assert read_idempotency_key("2f1c") == "2f1c"


def test_the_page_s_form_has_the_same_rules_and_line_ends_count_once() -> None:
    assert read_page_form({"message": "a\r\n" * 1999 + "ab"})[0].message == "a\n" * 1999 + "ab"
    for fields, code in (
        ({}, "empty_message"),
        ({"message": " \r\n"}, "empty_message"),
        ({"message": "a" * 4001}, "message_too_long"),
        ({"message": "a\x00b"}, "unreadable_characters"),
        ({"message": "a", "key": "a b"}, "invalid_idempotency_key"),
    ):
        with pytest.raises(InvalidInput) as caught:
            read_page_form(fields)
        assert caught.value.code == code


def test_one_page_view_asks_each_text_once() -> None:
    def key(message: str, view: str) -> str | None:
        return read_page_form({"message": message, "key": view})[1]

    assert key("why?", "1") == key(" why?\r\n", "1")
    assert len({key("why?", "1"), key("how?", "1"), key("why?", "2")}) == 3
    assert read_page_form({"message": "why?"})[1] is None
