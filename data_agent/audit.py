"""The append-only log: who asked, proposed, decided and ran what.

Each row carries the hash of the one before it, so a change, an insertion or a gap breaks the chain. Rows are written
one after the other under an advisory lock, in the transaction of the transition that they describe: neither is ever
there without the other. Cutting off the newest rows leaves a whole chain; who must notice that too notes down the last
hash, which `manage.py verify_audit` prints. The oldest rows may go in favour of a signed checkpoint
(`data_agent.checkpoints`), from which the chain goes on.
"""

import hashlib
import json
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypedDict, Unpack, get_args

from django.db import connection, transaction
from django.utils import timezone

from config.database import Execute
from data_agent import checkpoints, metrics
from data_agent.models import AuditEvent, Step

Kind = Literal[
    "proposed",
    "blocked",
    "edited",
    "approved",
    "rejected",
    "skipped",
    "expired",
    "executed",
    "failed",
    "cancelled",
    "answered",
    "asked",
    "replied",
    "shared",
    "unshared",
    "downloaded",
    "verified",
    "unverified",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

FIRST_HASH = "0" * 64
# Columns that came later. They count only where they are set, so that older rows keep their hashes.
_LATER = ("cost",)
# Any number will do, as long as nothing else uses it.
_LOCK = f"SELECT pg_advisory_xact_lock({0x0DA_A0D17})"
# A statement of its own: one that waits for the lock does not see what is written meanwhile.
_PREVIOUS = f"""
    SELECT coalesce((SELECT hash FROM da_audit_event ORDER BY id DESC LIMIT 1),
                    (SELECT last_hash FROM da_audit_checkpoint ORDER BY id DESC LIMIT 1), '{FIRST_HASH}')
"""
_STORED = [field for field in AuditEvent._meta.concrete_fields if not field.primary_key]
_INSERT = (
    f"INSERT INTO da_audit_event ({', '.join(field.column for field in _STORED)}) "
    f"VALUES ({', '.join(['%s'] * len(_STORED))})"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, and from which address; what they may see and do beyond asking, as it was when this was made."""

    id: int
    name: str
    address: str = ""
    # Whether names and e-mail addresses are shown to them as they are.
    personal: bool = False
    staff: bool = False


class Details(TypedDict, total=False):
    """What an event says beyond who did what; `size` is in bytes, `cost` as PostgreSQL's planner counts it."""

    session_id: uuid.UUID | None
    step_id: uuid.UUID | None
    question: str
    sql: str
    verdict: Mapping[str, Any]
    cost: float | None
    rows: int
    size: int
    duration_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the chain holds: `checked` rows did; `broken_id` is the first that does not, None where all do.

    `removed` rows went before them, in favour of checkpoints; where one of those is not to be believed, `broken` says
    so, and `broken_id` is its.
    """

    checked: int
    last_hash: str
    broken_id: int | None = None
    problem: str = ""
    removed: int = 0
    broken: Literal["row", "checkpoint"] = "row"


def record(kind: Kind, person: Person, **details: Unpack[Details]) -> AuditEvent:
    """Append an event, inside the caller's transaction."""
    event = _event(kind, person, **details)
    # Without a savepoint of its own: where the event fails, so does the transition that it describes.
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(_LOCK)
            cursor.execute(_PREVIOUS)
            (previous,) = cursor.fetchone()
        _link(event, previous)
        event.save(force_insert=True)
        transaction.on_commit(partial(metrics.note_event, kind))
    return event


def record_step(kind: Kind, person: Person, step: Step, **details: Unpack[Details]) -> AuditEvent:
    """Append an event about a step, with its question, its text and its verdict."""
    return record(kind, person, **_about(step, details))


async def record_step_with(
    execute: Execute, kind: Kind, person: Person, step: Step, **details: Unpack[Details]
) -> None:
    """Do that as a part of `config.database.together`; who does so counts the event once all is committed."""
    event = _event(kind, person, **_about(step, details))
    await execute(_LOCK)
    ((previous,),) = await execute(_PREVIOUS)
    _link(event, previous)
    await execute(_INSERT, [field.get_db_prep_save(getattr(event, field.attname), connection) for field in _STORED])


def _event(kind: Kind, person: Person, **details: Unpack[Details]) -> AuditEvent:
    """Return an event that has no place in the log yet."""
    sql = details.get("sql", "")
    return AuditEvent(
        kind=kind,
        session_id=details.get("session_id"),
        step_id=details.get("step_id"),
        person=f"{person.id} {person.name}",
        address=person.address,
        question=clean(details.get("question", "")),
        sql=clean(sql),
        fingerprint=fingerprint(sql) if sql else "",
        verdict=_cleaned(dict(details.get("verdict") or {})),
        cost=details.get("cost"),
        rows=details.get("rows"),
        bytes=details.get("size"),
        duration_ms=details.get("duration_ms"),
        error=clean(details.get("error", "")),
    )


def _about(step: Step, details: Details) -> Details:
    return {
        "session_id": step.session_id,
        "step_id": step.pk,
        "question": step.question,
        "sql": step.sql,
        "verdict": step.verdict,
        "cost": step.estimated_cost,
        **details,
    }


def _link(event: AuditEvent, previous: str) -> None:
    """Give an event its place after the row with that hash. The lock is held, so its time comes after that row's."""
    event.at = timezone.now()
    event.previous_hash = previous
    event.hash = digest(event)


def verify() -> Verification:
    """Walk the whole log, from its checkpoints on, and check every link."""
    start = checkpoints.start()
    if start.broken_id is not None:
        return Verification(0, FIRST_HASH, start.broken_id, start.problem, broken="checkpoint")
    previous = start.last_hash or FIRST_HASH
    checked = 0
    for event in AuditEvent.objects.order_by("id").iterator(chunk_size=1000):
        if event.previous_hash != previous:
            return Verification(checked, previous, event.pk, "the row before it is missing, new or changed")
        if event.hash != digest(event):
            return Verification(checked, previous, event.pk, "its content was changed")
        previous = event.hash
        checked += 1
    return Verification(checked, previous, removed=start.removed)


def digest(event: AuditEvent) -> str:
    """Return the hash over an event's content and the hash of the one before."""
    content = {
        field.name: getattr(event, field.name) for field in AuditEvent._meta.concrete_fields if field.name != "hash"
    }
    # The number is given by the database, after the hash is made; the order is in the chain.
    del content["id"]
    for name in _LATER:
        if content[name] is None:
            del content[name]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(sql: str) -> str:
    """Return the SHA-256 of a text's bytes, whatever characters are in it."""
    return hashlib.sha256(sql.encode("utf-8", "surrogatepass")).hexdigest()


def clean(text: str) -> str:
    """Return a text that PostgreSQL can store and a person can read: invisible characters become U+FFFD."""
    return "".join(
        "\ufffd" if character not in "\t\n\r" and unicodedata.category(character) in {"Cc", "Cf", "Cs"} else character
        for character in text
    )


def _cleaned(value: Any) -> Any:
    """Return a JSON value whose texts PostgreSQL can store."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(each) for key, each in value.items()}
    return [_cleaned(each) for each in value] if isinstance(value, list | tuple) else value


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)
