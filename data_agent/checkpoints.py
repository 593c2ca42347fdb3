"""Checkpoints: what the audit log keeps of its oldest rows once they are removed.

A checkpoint says up to which row, with which hash, how many rows are gone, and is signed, so that the chain can be
checked from there on. It is written in the transaction that removes the rows, and PostgreSQL removes none without it.
Checkpoints make a chain of their own: each signature covers the one before.

The right to delete rows is nobody's, until the owner of the table takes it for the time of that transaction. A function
with the owner's rights would do as well, but whoever has the application's connection could call it. So where the
application's role is not the owner, as in docker-compose.yml, it cannot remove a row at all.

AUDIT_KEYS signs with its first key, and believes the others too: to change the key, put the new one in front.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from data_agent.models import AuditCheckpoint, AuditEvent

FIRST_SIGNATURE = "0" * 64
# Any number will do, as long as nothing else uses it.
_LOCK = 0x0DA_A0D18
_INSUFFICIENT_PRIVILEGE = "42501"
# A grantee of 0 is PUBLIC, which has no name among the roles.
_TAKE_BACK = """
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT c.oid::regclass AS relation, a.grantee
          FROM pg_class c, aclexplode(c.relacl) a
         WHERE c.oid IN ('da_audit_event'::regclass, 'da_audit_checkpoint'::regclass)
           AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER')
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON %s FROM %s', granted.relation,
                       CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
END
$$
"""


class CannotRemove(Exception):
    """The head of the log cannot be removed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the chain begins: after the row with this hash. `problem` is why a checkpoint is not to be believed."""

    last_hash: str | None
    removed: int = 0
    broken_id: int | None = None
    problem: str = ""


def take_back_rights() -> None:
    """Take from everybody the rights to do more than read the log and add to it: in a restored one they are back."""
    with connection.cursor() as cursor:
        # So that each table has a list of rights: one without it has PostgreSQL's default, all of them for its owner.
        cursor.execute("GRANT SELECT, INSERT ON da_audit_event, da_audit_checkpoint TO CURRENT_USER")
        cursor.execute(_TAKE_BACK)


def before(moment: datetime) -> QuerySet[AuditEvent]:
    """Return the head of the log: all rows in front of the first one that is not older than this."""
    younger = AuditEvent.objects.filter(at__gte=moment).order_by("id").values_list("id", flat=True).first()
    return AuditEvent.objects.all() if younger is None else AuditEvent.objects.filter(id__lt=younger)


def remove(head: QuerySet[AuditEvent], most: int) -> int:
    """Remove that many of the oldest rows at most, and leave a checkpoint; returns how many. Raises CannotRemove."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        rows = list(head.order_by("id").values_list("id", "hash")[:most])
        if not rows:
            return 0
        _sign(*rows[-1], len(rows)).save(force_insert=True)
        try:
            cursor.execute("GRANT DELETE ON da_audit_event TO CURRENT_USER")
            cursor.execute("DELETE FROM da_audit_event WHERE id <= %s", [rows[-1][0]])
            cursor.execute("REVOKE DELETE ON da_audit_event FROM CURRENT_USER")
        except ProgrammingError as error:
            if getattr(error.__cause__, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
                raise
            raise CannotRemove("This database user does not own the audit log. Use the owner's DATABASE_URL.") from None
    return len(rows)


def start() -> Start:
    """Check all checkpoints, and return where the chain of rows begins."""
    checkpoint: AuditCheckpoint | None = None
    previous = FIRST_SIGNATURE
    for checkpoint in AuditCheckpoint.objects.order_by("id"):
        if problem := _problem(checkpoint, previous):
            return Start(None, broken_id=checkpoint.pk, problem=problem)
        previous = checkpoint.signature
    return Start(None) if checkpoint is None else Start(checkpoint.last_hash, checkpoint.removed)


def _problem(checkpoint: AuditCheckpoint, previous: str) -> str:
    if checkpoint.previous_signature != previous:
        return "the checkpoint before it is missing, new or changed"
    for key in settings.AUDIT_KEYS:
        if _id_of(key) == checkpoint.key_id:
            signed = hmac.compare_digest(_signature(checkpoint, key), checkpoint.signature)
            return "" if signed else "it is forged: its signature is not that of its content"
    return f"AUDIT_KEYS has not the key {checkpoint.key_id} that it says it was signed with"


def _sign(last_id: int, last_hash: str, rows: int) -> AuditCheckpoint:
    if not settings.AUDIT_KEYS:
        raise CannotRemove("AUDIT_KEYS is not set, so nothing can be signed. Set it to a long random text.")
    key = settings.AUDIT_KEYS[0]
    latest = AuditCheckpoint.objects.first()
    checkpoint = AuditCheckpoint(
        at=timezone.now(),
        last_id=last_id,
        last_hash=last_hash,
        removed=rows + (latest.removed if latest else 0),
        previous_signature=latest.signature if latest else FIRST_SIGNATURE,
        key_id=_id_of(key),
    )
    checkpoint.signature = _signature(checkpoint, key)
    return checkpoint


def _signature(checkpoint: AuditCheckpoint, key: str) -> str:
    content = [
        checkpoint.at.astimezone(UTC).isoformat(timespec="microseconds"),
        checkpoint.last_id,
        checkpoint.last_hash,
        checkpoint.removed,
        checkpoint.previous_signature,
        checkpoint.key_id,
    ]
    return hmac.new(key.encode(), json.dumps(content).encode(), hashlib.sha256).hexdigest()


def _id_of(key: str) -> str:
    """Return a name for a key that does not tell it."""
    return hmac.new(key.encode(), b"the id of an audit key", hashlib.sha256).hexdigest()[:16]
