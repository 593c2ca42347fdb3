"""The two transitions between a person's approval and their rows, without Django's ORM: the page waits for both.

Each is one conditional UPDATE and its audit event, in one transaction from the event loop. All others are in
`data_agent.proposals`, `data_agent.outcomes` and `data_agent.storing`.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import JSONField
from django.utils import timezone
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from config import database
from config.database import Execute
from data_agent import audit, metrics
from data_agent.audit import Person
from data_agent.models import State, Step

_FIELDS = Step._meta.concrete_fields
_COLUMNS = ", ".join(f'"{field.column}"' for field in _FIELDS)
# The owner of a conversation never changes, so that the sub-query may be older than the row.
_APPROVE = f"""
    UPDATE da_step SET state = '{State.APPROVED}', decided_at = %(now)s
    WHERE id = %(id)s AND state = '{State.PROPOSED}' AND sql_sha256 = %(sha256)s AND proposed_to_id = %(person)s
      AND policy_version = %(policy)s AND expires_at > %(now)s
      AND session_id IN (SELECT id FROM da_session WHERE owner_id = %(person)s)
    RETURNING {_COLUMNS}
"""
_RESULT = ("columns", "rows", "bytes", "personal", "cut", "duration_ms")
_KEEP_RESULT = f"""
    UPDATE da_step SET state = '{State.EXECUTED}', {", ".join(f'"{name}" = %({name})s' for name in _RESULT)}
    WHERE id = %(id)s AND state = '{State.APPROVED}'
    RETURNING id
"""


async def approve(person: Person, step_id: uuid.UUID, sha256: str, policy: str) -> Step | None:
    """Use up a proposal that holds for this person, text and policy; None where there is none, and nothing is done."""

    async def transition(execute: Execute) -> Step | None:
        found = await execute(
            _APPROVE,
            {"now": timezone.now(), "id": step_id, "sha256": sha256, "person": person.id, "policy": policy},
        )
        if not found:
            return None
        step = _read(found[0])
        await audit.record_step_with(execute, "approved", person, step)
        return step

    step = await database.together(transition)
    if step is not None:
        metrics.note_event("approved")
    return step


async def keep_result(person: Person, step: Step, result: Mapping[str, Any]) -> bool:
    """Keep the result of an approved step, by the names of its fields; return whether it was still approved."""
    values = {
        field.name: Jsonb(result[field.name], dumps=to_json)
        if isinstance(field, JSONField)
        else field.get_db_prep_save(result[field.name], connection)
        for field in _FIELDS
        if field.name in _RESULT
    }

    async def transition(execute: Execute) -> bool:
        if not await execute(_KEEP_RESULT, {"id": step.pk, **values}):
            return False
        await audit.record_step_with(
            execute,
            "executed",
            person,
            step,
            rows=len(result["rows"]),
            size=result["bytes"],
            duration_ms=result["duration_ms"],
        )
        return True

    if not await database.together(transition):
        return False
    metrics.note_event("executed")
    for name, value in {**result, "state": State.EXECUTED}.items():
        setattr(step, name, value)
    return True


def _read(row: Sequence[Any]) -> Step:
    values = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(_FIELDS, row, strict=True)
    ]
    return Step.from_db("default", [field.attname for field in _FIELDS], values)
