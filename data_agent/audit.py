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
from typing import Any, Literal, get_args

from django.db import connection, transaction
from django.utils import timezone

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
_LOCK = 0x0DA_A0D17


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, and from which address; what they may see and do beyond asking, as it was when this was made."""

    id: int
    name: str
    address: str = ""
    # Whether names and e-mail addresses are shown to them as they are.
    personal: bool = False
    staff: bool = False


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


def record(
    kind: Kind,
    person: Person,
    *,
    session_id: uuid.UUID | None = None,
    step_id: uuid.UUID | None = None,
    question: str = "",
    sql: str = "",
    verdict: Mapping[str, Any] | None = None,
    cost: float | None = None,
    rows: int | None = None,
    size: int | None = None,
    duration_ms: int | None = None,
    error: str = "",
) -> AuditEvent:
    """Append an event, inside the caller's transaction."""
    # Without a savepoint of its own: where the event fails, so does the transition that it describes.
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        previous = AuditEvent.objects.order_by("-id").values_list("hash", flat=True).first()
        event = AuditEvent(
            at=timezone.now(),
            kind=kind,
            session_id=session_id,
            step_id=step_id,
            person=f"{person.id} {person.name}",
            address=person.address,
            question=clean(question),
            sql=clean(sql),
            fingerprint=fingerprint(sql) if sql else "",
            verdict=_cleaned(dict(verdict or {})),
            cost=cost,
            rows=rows,
            bytes=size,
            duration_ms=duration_ms,
            error=clean(error),
            previous_hash=previous or checkpoints.last_hash() or FIRST_HASH,
        )
        event.hash = digest(event)
        event.save(force_insert=True)
        transaction.on_commit(partial(metrics.note_event, kind))
    return event


def record_step(kind: Kind, person: Person, step: Step, **details: Any) -> AuditEvent:
    """Append an event about a step, with its question, its text and its verdict."""
    return record(
        kind,
        person,
        session_id=step.session_id,
        step_id=step.pk,
        question=step.question,
        sql=step.sql,
        verdict=step.verdict,
        cost=step.estimated_cost,
        **details,
    )


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
