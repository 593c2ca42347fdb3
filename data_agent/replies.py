"""Reads what a model answered: the JSON that was asked for, or what can be made of prose around it.

Providers can be asked for JSON of a schema; some pass that on, some models ignore it. So the answer is looked for in
this order: the whole text as JSON, JSON inside it, a fenced block of SQL, a text that begins like a query.
"""

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.sentences import say

MAX_TEXT = 2_000
MAX_SQL = 20_000

Action = Literal["query", "ask", "answer"]

_FENCED = re.compile(r"```(?:sql|postgres(?:ql)?)?\s*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_QUERY = re.compile(
    r"(?:WITH\s+(?:RECURSIVE\s+)?[\w\"]+\s*(?:\([^)]*\)\s*)?AS\b|SELECT\b).*", re.DOTALL | re.IGNORECASE
)


class Unreadable(ValueError):
    """There is neither the JSON that was asked for nor a query; the message is for the model."""


class Reply(BaseModel):
    """What a model wants: a query with what it does in words, a question for the person, or to give the answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    action: Action = "query"
    sql: str = Field("", max_length=MAX_SQL)
    text: str = Field("", max_length=MAX_TEXT)

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {key: each for key, each in value.items() if each is not None}
        for name in ("explanation", "answer", "question"):
            if not known.get("text") and name in known:
                known["text"] = known[name]
        if isinstance(known.get("text"), str):
            known["text"] = known["text"].strip()[:MAX_TEXT]
        if "action" not in known:
            # The first step's form has none: who writes no query asks.
            known["action"] = "query" if str(known.get("sql", "")).strip() else "ask"
        return known

    @model_validator(mode="after")
    def _is_whole(self) -> "Reply":
        if self.action == "query" and not self.sql.strip():
            raise ValueError("a query is missing")
        if self.action != "query" and not self.text:
            raise ValueError("a text is missing")
        return self


def read(text: str) -> Reply:
    """Return what a model's answer means; raises Unreadable."""
    for document in _documents(text):
        try:
            return Reply.model_validate(document)
        except ValidationError:
            continue
    fenced = _FENCED.search(text)
    query = _QUERY.match(fenced.group(1).strip()) if fenced else _QUERY.match(text.strip())
    if query:
        around = text[: fenced.start()].strip() if fenced else ""
        return Reply(action="query", sql=query.group(0).strip()[:MAX_SQL], text=around[:MAX_TEXT])
    raise Unreadable(say("The answer was not JSON with sql and explanation."))


def _documents(text: str) -> list[Any]:
    """Return the JSON objects in a text, the first first."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    place = text.find("{")
    # Each try costs at most the rest of the text, and an answer is short.
    for _ in range(20):
        if place < 0:
            break
        try:
            document, end = decoder.raw_decode(text, place)
            found.append(document)
        except (ValueError, RecursionError):
            end = place + 1
        place = text.find("{", end)
    return found
