"""Calls for the tests of the ledger."""

import uuid
from datetime import UTC, datetime
from typing import Any

from llm.types import Call

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def call(**values: Any) -> Call:
    """Return a call of gpt-4o-mini at noon with 1,000 and 100 tokens, but for the given values."""
    return Call(
        **{
            "purpose": "chat",
            "provider": "openai",
            "model": "gpt-4o-mini-2024-07-18",
            "outcome": "stop",
            "fallback": False,
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "estimated": False,
            "started_at": NOON,
            "first_token_seconds": 0.25,
            "total_seconds": 1.5,
            "trace_id": uuid.UUID(int=7),
            **values,
        }
    )
