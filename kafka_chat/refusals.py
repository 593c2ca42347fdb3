"""What a visitor is told where the chat does not do what they want: as JSON by the API, in words by the page."""

from dataclasses import dataclass

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext
from redis.exceptions import RedisError

from kafka_chat.forms import InvalidInput
from llm.budgets import BudgetExceeded

log = structlog.get_logger(__name__)

TRY_AGAIN = 10


class UnknownMessage(Exception):
    """There is no such question, or it is somebody else's: which of both is not said."""


class Unfinished(Exception):
    """The question has no answer yet that could be rated."""


# What `refusal_of` has words for; everything else is a fault of ours.
EXPECTED = (
    InvalidInput,
    UnknownMessage,
    Unfinished,
    BudgetExceeded,
    RequestDataTooBig,
    OperationalError,
    InterfaceError,
    RedisError,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status, a code for programs, a sentence for people, and seconds after which it may be tried again."""

    status: int
    code: str
    message: str
    retry_after: int | None = None


def refusal_of(error: Exception) -> Refusal:
    """Return what to say about one of the `EXPECTED` errors."""
    match error:
        case InvalidInput():
            return Refusal(400, error.code, error.message)
        case UnknownMessage():
            return Refusal(404, "unknown_message", gettext("There is no such question in this conversation."))
        case Unfinished():
            return Refusal(
                409, "not_finished", gettext("This question has no answer yet. Please wait for it, then rate it.")
            )
        case BudgetExceeded():
            return Refusal(429, error.code, error.public, error.retry_after)
        case RequestDataTooBig():
            return Refusal(413, "request_too_large", gettext("The request is too large. Please shorten the message."))
        case RedisError():
            log.error("Redis cannot be reached", error=type(error).__name__)
            sentence = gettext("The answer cannot be stopped right now. Please try again in a few seconds.")
            return Refusal(503, "run_log_away", sentence, TRY_AGAIN)
        case _:
            log.error("PostgreSQL cannot be reached", error=type(error).__name__)
            sentence = gettext("The chat cannot store anything right now. Please try again in a few seconds.")
            return Refusal(503, "database_away", sentence, TRY_AGAIN)
