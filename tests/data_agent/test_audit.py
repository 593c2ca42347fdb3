import hashlib
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from data_agent import audit
from data_agent.audit import Person
from data_agent.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

TRIGGERS = ("da_audit_event_append_only", "da_audit_event_head_only")
ADA = Person(7, "ada", "192.0.2.1")
OLDER = [
    *("at", "kind", "session_id", "step_id", "person", "address", "question", "sql", "fingerprint", "verdict"),
    *("rows", "bytes", "duration_ms", "error", "previous_hash"),
]


def _three() -> list[AuditEvent]:
    return [audit.record("proposed", ADA, question=f"question {number}", sql="SELECT 1") for number in range(3)]


def test_each_row_carries_the_hash_of_the_one_before() -> None:
    one, two, three = _three()
    assert two.previous_hash == one.hash
    assert three.previous_hash == two.hash
    assert len({one.hash, two.hash, three.hash}) == 3
    assert audit.verify().broken_id is None


def test_a_row_says_who_what_when_and_from_where() -> None:
    session, step = uuid.uuid4(), uuid.uuid4()
    event = audit.record(
        "executed",
        ADA,
        session_id=session,
        step_id=step,
        question="How many?",
        sql="SELECT 1",
        verdict={"tables": ["analytics_users"]},
        rows=3,
        size=120,
        duration_ms=8,
    )
    stored = AuditEvent.objects.get(pk=event.pk)
    assert (stored.person, stored.address, stored.kind) == ("7 ada", "192.0.2.1", "executed")
    assert (stored.session_id, stored.step_id, stored.rows, stored.bytes) == (session, step, 3, 120)
    assert stored.fingerprint == audit.fingerprint("SELECT 1")
    assert stored.hash == audit.digest(stored)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE da_audit_event SET person = 'x'", "DELETE FROM da_audit_event", "TRUNCATE da_audit_event"],
)
def test_the_database_refuses_to_change_or_remove_rows(statement: str) -> None:
    event = audit.record("proposed", ADA)
    with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)
    # Whoever has the rights, or takes them back as the owner can, still meets the trigger.
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("GRANT UPDATE, DELETE, TRUNCATE ON da_audit_event TO CURRENT_USER")
        cursor.execute(statement)
    assert AuditEvent.objects.filter(pk=event.pk).exists()


def test_nobody_has_the_right_to_change_the_log_not_even_its_owner() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT privilege_type FROM pg_class, aclexplode(relacl) WHERE relname = 'da_audit_event'"
        )
        granted = {row[0] for row in cursor.fetchall()}
    assert {"SELECT", "INSERT"} <= granted
    assert granted.isdisjoint({"UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"})


def test_the_triggers_hold_in_every_replication_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = ANY (%s)", [list(TRIGGERS)])
        assert cursor.fetchall() == [("A",), ("A",)]


def _tamper(statement: str, parameters: list[object]) -> None:
    """Change the log as its owner could: they take the rights back and switch the trigger off."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("GRANT UPDATE, DELETE ON da_audit_event TO CURRENT_USER")
        cursor.execute("ALTER TABLE da_audit_event DISABLE TRIGGER USER")
        cursor.execute(statement, parameters)
        for trigger in TRIGGERS:
            cursor.execute(f"ALTER TABLE da_audit_event ENABLE ALWAYS TRIGGER {trigger}")
        cursor.execute("REVOKE UPDATE, DELETE ON da_audit_event FROM CURRENT_USER")


def test_a_changed_row_is_found() -> None:
    _, event, _ = _three()
    _tamper("UPDATE da_audit_event SET question = 'another' WHERE id = %s", [event.pk])
    try:
        with pytest.raises(CommandError, match=f"broken at row {event.pk}: its content was changed"):
            call_command("verify_audit")
    finally:
        _tamper("UPDATE da_audit_event SET question = %s WHERE id = %s", [event.question, event.pk])
    assert audit.verify().broken_id is None


def test_a_missing_row_is_found() -> None:
    _, event, after = _three()
    with transaction.atomic():
        _tamper("DELETE FROM da_audit_event WHERE id = %s", [event.pk])
        assert audit.verify().broken_id == after.pk
        transaction.set_rollback(True)
    assert audit.verify().broken_id is None


def test_the_command_prints_how_many_rows_hold_and_the_last_hash() -> None:
    event = _three()[-1]
    said = StringIO()
    call_command("verify_audit", stdout=said)
    assert said.getvalue() == f"{AuditEvent.objects.count()} rows are in order. Last hash: {event.hash}\n"


def test_writers_at_the_same_time_make_one_chain() -> None:
    def write(number: int) -> None:
        try:
            audit.record("proposed", ADA, question=str(number))
        finally:
            connection.close()

    before = AuditEvent.objects.count()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert AuditEvent.objects.count() == before + 40
    assert audit.verify().broken_id is None


def test_what_postgresql_cannot_store_is_made_visible_and_the_fingerprint_is_of_the_original() -> None:
    text = "SELECT 1\0; DROP \ud800\u202e"
    event = audit.record("blocked", ADA, sql=text)
    assert AuditEvent.objects.get(pk=event.pk).sql == "SELECT 1\ufffd; DROP \ufffd\ufffd"
    assert event.fingerprint == audit.fingerprint(text) != audit.fingerprint(event.sql)


def test_rows_from_before_a_column_was_added_keep_their_hashes() -> None:
    """The hash of a row without a cost is made as it was when there was no such column."""
    event = audit.record("proposed", ADA, question="How many?")
    content = {name: getattr(event, name) for name in OLDER}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=audit._plain)
    assert event.hash == hashlib.sha256(text.encode()).hexdigest()
    dear = audit.record("proposed", ADA, question="How many?", cost=12.5)
    stored = AuditEvent.objects.get(pk=dear.pk)
    assert stored.cost == 12.5
    assert audit.digest(stored) == stored.hash
    stored.cost = None
    assert audit.digest(stored) != stored.hash


def test_texts_inside_a_verdict_are_made_storable_too() -> None:
    event = audit.record("blocked", ADA, verdict={"reasons": ["NUL \0", {"x\ud800": "\u202e"}]})
    assert AuditEvent.objects.get(pk=event.pk).verdict == {"reasons": ["NUL \ufffd", {"x\ufffd": "\ufffd"}]}


def test_an_event_is_gone_with_the_transaction_it_belongs_to() -> None:
    with transaction.atomic():
        event = audit.record("proposed", ADA)
        transaction.set_rollback(True)
    assert not AuditEvent.objects.filter(pk=event.pk).exists()
    assert audit.verify().broken_id is None
