"""What can go wrong with a model, in one tree.

    LLMError
    ├── Unreachable        connection refused, name not found, connection lost before the first piece
    ├── TimedOut           a deadline of ours passed, or the provider fell silent
    ├── RateLimited        the provider wants us to wait (HTTP 429)
    ├── ProviderFault      the provider failed (HTTP 5xx, an error inside the stream)
    ├── BrokenAnswer       the stream was cut or could not be read
    ├── Rejected           the provider does not accept our request (HTTP 4xx: key, model, quota)
    │   └── TooLong        the conversation does not fit into the model's context
    ├── Refused            the provider's safety filter withheld the question or the answer
    ├── CircuitOpen        the provider failed several times in a row and is not asked for now
    └── NoProviderAnswered every provider of the chain failed

An error says whether another try can help (`retryable`) and what a visitor may be told (`public`), in English: rows and
run logs keep it like that, and who shows it translates it. Its message is for operators; neither ever holds a key or a
conversation's text. Providers raise it without the SDK's own error as cause or context, because those carry request
headers, response bodies and pieces of the answer.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from config.sentences import say


class LLMError(Exception):
    """The model gave no usable answer."""

    retryable: bool = False
    public: str = say("The model could not answer. Please try again in a moment.")

    def __init__(self, detail: str, *, provider: str = "") -> None:
        super().__init__(f"{provider}: {detail}" if provider else detail)
        self.provider = provider


class Unreachable(LLMError):
    """The provider could not be reached, or the connection was lost before it said anything."""

    retryable = True
    public = say("The model cannot be reached right now. Please try again in a moment.")


class TimedOut(LLMError):
    """The provider was too slow."""

    retryable = True
    public = say("The model took too long to answer. Please try again, or ask something shorter.")


class RateLimited(LLMError):
    """The provider asks us to slow down; `retry_after` is in seconds, None where it did not say."""

    retryable = True
    public = say("The model is busy right now. Please try again in a minute.")

    def __init__(self, detail: str, *, provider: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail, provider=provider)
        self.retry_after = retry_after


class ProviderFault(LLMError):
    """The provider failed on its side."""

    retryable = True


class BrokenAnswer(LLMError):
    """The answer ended without its end mark, or could not be read."""

    retryable = True
    public = say("The answer broke off. Please ask again.")


class Rejected(LLMError):
    """The provider does not accept the request: a wrong key, an unknown model, a used-up quota."""

    public = say("The model is not set up correctly. Please tell the operator of this site.")


class TooLong(Rejected):
    """The conversation does not fit into the model's context."""

    public = say("This is more text than the model can read at once. Please ask something shorter.")


class Refused(LLMError):
    """The provider's safety filter withheld the question or the answer."""

    public = say("The model's provider declined to answer this. Please rephrase the question.")


class CircuitOpen(LLMError):
    """The provider was not asked, because it failed several times in a row."""

    retryable = True
    public = say("The model cannot be reached right now. Please try again in a minute.")


class NoProviderAnswered(LLMError):
    """Every provider of a chain failed; `failures` has the last error of each, in order."""

    public: str = say("No model can answer right now. Please try again in a few minutes.")

    def __init__(self, failures: Sequence[LLMError]) -> None:
        super().__init__("; ".join(str(failure) for failure in failures) or "the chain is empty")
        self.failures = tuple(failures)
        self.retryable = any(failure.retryable for failure in failures)
        sentences = {failure.public for failure in failures}
        if len(sentences) == 1:
            self.public = sentences.pop()


def from_status(status: int, detail: str, *, provider: str, retry_after: str | None = None) -> LLMError:
    """Return the error for an HTTP status; `retry_after` is that header's value."""
    if status == 429:
        return RateLimited(detail, provider=provider, retry_after=seconds_to_wait(retry_after))
    if status in {408, 504}:
        return TimedOut(detail, provider=provider)
    if status == 413:
        return TooLong(detail, provider=provider)
    if status >= 500:
        return ProviderFault(detail, provider=provider)
    return Rejected(detail, provider=provider)


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3: seconds or a date); None where it says nothing usable."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        # A date without a zone is in GMT.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
