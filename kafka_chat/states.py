"""Where a question stands, as the API shows it: in polls, in the history and in the last event of a stream."""

from datetime import UTC, datetime
from typing import Any, TypeAlias

from django.utils.translation import gettext

from kafka_chat.models import ChatMessage
from llm import markdown

# Ready for JSON.
State: TypeAlias = dict[str, Any]


def describe(row: ChatMessage) -> State:
    """Return a question's state. Times are ISO 8601, durations milliseconds from the question on.

    It has no language: workers say it, too. `told` has one.
    """
    return {
        "message_id": str(row.message_id),
        "trace_id": str(row.trace_id),
        "status": row.status,
        "message": row.message,
        "response": row.response,
        "html": markdown.render(row.response) if row.answered_at is not None else "",
        "error": row.error,
        "provider": row.provider,
        "model": row.model,
        "fallback": row.fallback,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "created_at": _iso(row.created_at),
        "answered_at": None if row.answered_at is None else _iso(row.answered_at),
        "timings": {
            "picked_up_ms": _since_asked(row, row.picked_up_at),
            "first_token_ms": _since_asked(row, row.first_token_at),
            "total_ms": _since_asked(row, row.answered_at),
        },
    }


def told(state: State) -> State:
    """Return a state as its reader is told it: the sentence for a failure in the language that is active."""
    sentence = state["error"]
    return state | {"error": gettext(sentence)} if sentence else state


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _since_asked(row: ChatMessage, moment: datetime | None) -> int | None:
    return None if moment is None else round((moment - row.created_at).total_seconds() * 1000)
