"""What a visitor may send, with the sentences for what they may not."""

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from django.utils.translation import gettext, gettext_noop
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.formats import written
from config.texts import MAX_COMMENT, MAX_LENGTH, Comment, Text

# Seconds; proxies commonly cut a request that is silent for 30.
MAX_WAIT = 25


# Questions on one page of the history.
PAGE = 20
MAX_PAGE = 100
# Above the number of every event of a run.
EVERYTHING = 2**53


class InvalidInput(Exception):
    """The request's content is not acceptable; `code` is for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


_SENTENCES = {
    "string_too_short": ("empty_message", gettext_noop("The message is empty. Please write something.")),
    "string_too_long": (
        "message_too_long",
        gettext_noop("The message has more than %(most)s characters. Please shorten it."),
    ),
    "value_error": (
        "unreadable_characters",
        gettext_noop("The message has control characters in it. Please type it again."),
    ),
    "missing": ("no_message", gettext_noop('The request has no "message". Send {"message": "…"}.')),
    "string_type": ("no_message", gettext_noop('The "message" must be a text. Send {"message": "…"}.')),
}


class AskForm(BaseModel):
    """The body of `POST /api/chat/`."""

    model_config = ConfigDict(extra="forbid")

    message: Text


def read_ask(body: bytes) -> AskForm:
    """Return the form in a request's body; raises InvalidInput."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("not_utf8", gettext("The request is not UTF-8 text.")) from None
    try:
        return AskForm.model_validate_json(text)
    except ValidationError as error:
        raise _in_words(error) from None


def read_page_form(fields: Mapping[str, str]) -> tuple[AskForm, str | None]:
    """Return what the page's own form asks, and its idempotency key; raises InvalidInput.

    The form's hidden `key` is that of one page view. Whoever goes back to that page may change the text, which is then
    another question: so the text is part of the key.
    """
    seen = read_idempotency_key(fields.get("key"))
    # Forms send line ends as CRLF (HTML standard, 4.10.21.4), which would count twice.
    text = fields.get("message", "").replace("\r\n", "\n")
    try:
        form = AskForm.model_validate({"message": text})
    except ValidationError as error:
        raise _in_words(error) from None
    return form, None if seen is None else hashlib.sha256(f"{seen} {form.message}".encode()).hexdigest()


def _in_words(error: ValidationError) -> InvalidInput:
    first: Any = error.errors(include_input=False, include_url=False)[0]
    if first["type"] in _SENTENCES and first["loc"] == ("message",):
        code, sentence = _SENTENCES[first["type"]]
        return InvalidInput(code, gettext(sentence) % {"most": written(MAX_LENGTH)})
    return InvalidInput("invalid_json", gettext('The request is not the expected JSON. Send {"message": "…"}.'))


class StopForm(BaseModel):
    """The body of `POST /api/chat/<message_id>/stop/`: the number of the last event that the visitor has seen.

    Without it they keep all that was written.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    seen: Annotated[int, Field(ge=0, le=EVERYTHING)] = EVERYTHING


def read_stop(body: bytes) -> StopForm:
    """Return the form in a request's body, which may be empty; raises InvalidInput."""
    try:
        return StopForm.model_validate_json(body or b"{}")
    except ValidationError:
        sentence = gettext('The request is not the expected JSON. Send {"seen": 12} or {}.')
        raise InvalidInput("invalid_stop", sentence) from None


class RateForm(BaseModel):
    """The body of `POST /api/chat/<message_id>/rating/`: what the visitor thinks of the answer; null takes it back."""

    model_config = ConfigDict(extra="forbid")

    rating: Literal["up", "down"] | None
    comment: Comment = ""


_ABOUT_COMMENTS = {
    "string_too_long": (
        "message_too_long",
        gettext_noop("The comment has more than %(most)s characters. Please shorten it."),
    ),
    "value_error": (
        "unreadable_characters",
        gettext_noop("The comment has control characters in it. Please type it again."),
    ),
}


def read_rating(body: bytes) -> RateForm:
    """Return the form in a request's body; raises InvalidInput."""
    try:
        return RateForm.model_validate_json(body)
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
    if first["loc"] == ("comment",) and first["type"] in _ABOUT_COMMENTS:
        code, sentence = _ABOUT_COMMENTS[first["type"]]
        raise InvalidInput(code, gettext(sentence) % {"most": written(MAX_COMMENT)})
    sentence = gettext('The request is not the expected JSON. Send {"rating": "up", "comment": "…"}.')
    raise InvalidInput("invalid_rating", sentence)


def read_idempotency_key(value: str | None) -> str | None:
    """Return the `Idempotency-Key` header's value; raises InvalidInput."""
    if value is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        raise InvalidInput(
            "invalid_idempotency_key", gettext("The Idempotency-Key must be 1 to 128 visible ASCII characters.")
        )
    return value


def read_message_id(value: str | None) -> uuid.UUID:
    """Return the id in the query; raises InvalidInput."""
    try:
        return uuid.UUID(value or "")
    except ValueError:
        raise InvalidInput("invalid_message_id", gettext("The message_id is missing or is no UUID.")) from None


def read_wait(value: str | None) -> float:
    """Return the seconds that a poll may be held, 0 where nothing is said; raises InvalidInput."""
    if value is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,2}", value) or int(value) > MAX_WAIT:
        sentence = gettext("The wait must be a whole number of seconds from 0 to %(most)s.")
        raise InvalidInput("invalid_wait", sentence % {"most": MAX_WAIT})
    return int(value)


def read_cursor(value: str | None) -> uuid.UUID | None:
    """Return where a page of the history begins, None for the newest one; raises InvalidInput."""
    if value is None:
        return None
    try:
        return uuid.UUID(value)
    except ValueError:
        sentence = gettext('The cursor is none of ours. Use the "next" of the page before.')
        raise InvalidInput("invalid_cursor", sentence) from None


def read_limit(value: str | None) -> int:
    """Return how many questions a page of the history has; raises InvalidInput."""
    if value is None:
        return PAGE
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= MAX_PAGE:
        sentence = gettext("The limit must be a whole number from 1 to %(most)s.")
        raise InvalidInput("invalid_limit", sentence % {"most": MAX_PAGE})
    return int(value)


def read_after(header: str | None, parameter: str | None) -> int:
    """Return the number of the last event that a reader has, 0 before the first; raises InvalidInput.

    `Last-Event-ID` comes from a browser that reconnects, to the address that it had in the beginning: so it counts more
    than what that address says.
    """
    value = header or parameter
    if not value:
        return 0
    if not re.fullmatch(r"[0-9]{1,16}", value) or int(value) > EVERYTHING:
        raise InvalidInput(
            "invalid_event_id", gettext("The number of the last event must be a whole number from 0 to 2^53.")
        )
    return int(value)
