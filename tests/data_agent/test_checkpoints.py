"""The head of the audit log goes in favour of a signed checkpoint, and in no other way.

Rows can only be added to the log, so these tests take back all they do, and work on what others have left.
"""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from config import pruning
from data_agent import audit, checkpoints
from data_agent.audit import Person
from data_agent.checkpoints import CannotRemove
from data_agent.models import AuditCheckpoint, AuditEvent

ADA = Person(7, "ada", "192.0.2.1")
KEY, NEWER = "a key of the tests, long enough for all", "another key of the tests, as long as that"


@pytest.fixture(autouse=True)
def key(settings: Settings) -> None:
    """A key to sign with."""
    settings.AUDIT_KEYS = [KEY]


@pytest.fixture
def log(db: None) -> list[AuditEvent]:
    """A log of which the first three rows are old; those of other tests before them are gone."""
    _remove()
    old = [audit.record("proposed", ADA, question=f"question {number}") for number in range(3)]
    return [*old, *(audit.record("proposed", ADA) for _ in range(2))]


def _remove(young: AuditEvent | None = None, most: int = 1_000_000) -> int:
    return checkpoints.remove(checkpoints.before(young.at if young else timezone.now()), most)


def _run(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def _refused(statement: str, *parameters: object, match: str = "append-only") -> None:
    with pytest.raises(DatabaseError, match=match), transaction.atomic():
        _run(statement, *parameters)


def _change(table: str, statement: str, *parameters: object) -> None:
    """Change a table as its owner could, who switches its triggers off."""
    _run(f"GRANT UPDATE, DELETE ON {table} TO CURRENT_USER")
    _run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    _run(statement, *parameters)


def test_what_is_left_is_in_order_after_the_head_is_removed(log: list[AuditEvent]) -> None:
    before = audit.verify().removed
    assert _remove(log[3]) == 3
    assert list(AuditEvent.objects.order_by("id").values_list("id", flat=True)) == [event.pk for event in log[3:]]
    assert audit.verify() == audit.Verification(2, log[-1].hash, removed=before + 3)
    audit.record("proposed", ADA)
    said = StringIO()
    call_command("verify_audit", stdout=said)
    assert said.getvalue().startswith(f"3 rows are in order. {before + 3} before them were removed in favour of")


def test_the_head_goes_in_batches_each_with_its_checkpoint(log: list[AuditEvent]) -> None:
    known = AuditCheckpoint.objects.count()
    assert [_remove(log[3], most=2) for _ in range(3)] == [2, 1, 0]
    assert AuditCheckpoint.objects.count() == known + 2
    assert audit.verify().broken_id is None


def test_a_log_of_which_all_is_removed_goes_on_where_it_was(log: list[AuditEvent]) -> None:
    assert _remove() == 5
    event = audit.record("proposed", ADA)
    assert event.previous_hash == log[-1].hash
    assert audit.verify().checked == 1


def test_the_key_can_be_changed_while_the_older_one_is_believed(log: list[AuditEvent], settings: Settings) -> None:
    _remove(log[1])
    settings.AUDIT_KEYS = [NEWER, KEY]
    _remove(log[3])
    assert audit.verify().broken_id is None
    settings.AUDIT_KEYS = [NEWER]
    result = audit.verify()
    assert (result.broken, result.problem.split()[:4]) == ("checkpoint", ["AUDIT_KEYS", "has", "not", "the"])


def test_a_changed_row_behind_a_checkpoint_is_found(log: list[AuditEvent]) -> None:
    _remove(log[3])
    _change("da_audit_event", "UPDATE da_audit_event SET person = 'eve' WHERE id = %s", log[4].pk)
    assert (audit.verify().broken, audit.verify().broken_id) == ("row", log[4].pk)


def test_rows_that_went_without_a_checkpoint_are_missed(log: list[AuditEvent]) -> None:
    _remove(log[1])
    _change("da_audit_event", "DELETE FROM da_audit_event WHERE id = %s", log[1].pk)
    assert (audit.verify().broken, audit.verify().broken_id) == ("row", log[2].pk)


@pytest.mark.parametrize(
    "change",
    ["last_hash = repeat('0', 64)", "last_id = last_id - 1", "removed = 1", "at = at - interval '1 day'"],
)
def test_a_forged_checkpoint_is_named(log: list[AuditEvent], change: str) -> None:
    _remove(log[3])
    forged = AuditCheckpoint.objects.first()
    assert forged is not None
    _change("da_audit_checkpoint", f"UPDATE da_audit_checkpoint SET {change} WHERE id = %s", forged.pk)
    with pytest.raises(CommandError, match=f"broken at checkpoint {forged.pk}: it is forged"):
        call_command("verify_audit")


def test_a_missing_checkpoint_is_noticed(log: list[AuditEvent]) -> None:
    for young in log[1:4]:
        _remove(young)
    newest, middle = AuditCheckpoint.objects.all()[:2]
    _change("da_audit_checkpoint", "DELETE FROM da_audit_checkpoint WHERE id = %s", middle.pk)
    assert (audit.verify().broken, audit.verify().broken_id) == ("checkpoint", newest.pk)
    _run("DELETE FROM da_audit_checkpoint WHERE id = %s", newest.pk)
    assert (audit.verify().broken, audit.verify().broken_id) == ("row", log[3].pk)


def test_postgresql_removes_the_head_alone_and_only_with_a_checkpoint(log: list[AuditEvent]) -> None:
    _remove(log[1])
    _run("GRANT DELETE ON da_audit_event TO CURRENT_USER")
    _refused("DELETE FROM da_audit_event")
    _refused("DELETE FROM da_audit_event WHERE id = %s", log[1].pk)
    # A checkpoint for a row in the middle does not do, nor does a table that only has its name.
    made = "INSERT INTO da_audit_checkpoint SELECT -1, now(), %s::bigint, %s, 0, 'x', 'x', 'x'"
    with transaction.atomic():
        _run("CREATE TEMPORARY TABLE da_audit_checkpoint (LIKE da_audit_checkpoint)")
        _run(made, log[1].pk, log[1].hash)
        _refused("DELETE FROM da_audit_event WHERE id <= %s", log[1].pk)
        _run("DROP TABLE pg_temp.da_audit_checkpoint")
    _run(made, log[3].pk, log[3].hash)
    _refused("DELETE FROM da_audit_event WHERE id = %s", log[3].pk)
    for statement in ("UPDATE da_audit_checkpoint SET removed = 0", "TRUNCATE da_audit_checkpoint"):
        _refused(statement, match="permission denied")


def test_a_role_that_does_not_own_the_log_adds_to_it_and_removes_nothing(log: list[AuditEvent]) -> None:
    role = "triptych_tests_application"
    _run(f"CREATE ROLE {role} NOLOGIN")
    _run(f"GRANT SELECT, INSERT ON da_audit_event, da_audit_checkpoint TO {role}")
    _run(f"GRANT USAGE ON SEQUENCE da_audit_event_id_seq, da_audit_checkpoint_id_seq TO {role}")
    _run(f"GRANT {role} TO CURRENT_USER WITH SET TRUE, INHERIT FALSE")
    _run(f"SET LOCAL ROLE {role}")
    audit.record("proposed", ADA)
    known = AuditCheckpoint.objects.count()
    with pytest.raises(CannotRemove, match="does not own the audit log"):
        _remove(log[3])
    _refused("DELETE FROM da_audit_event WHERE id <= %s", log[0].pk, match="permission denied")
    _refused("ALTER TABLE da_audit_event DISABLE TRIGGER USER", match="must be owner")
    assert AuditCheckpoint.objects.count() == known


def test_the_command_shows_first_and_needs_a_key(log: list[AuditEvent], settings: Settings) -> None:
    # So short that everything is older.
    settings.RETENTION_AUDIT_DAYS = 1e-9
    said = StringIO()
    call_command("prune", "--audit", "--dry-run", stdout=said)
    assert said.getvalue().splitlines()[-2].split()[:4] == ["Data", "agent:", "audit", "log"]
    assert AuditEvent.objects.count() == 5
    settings.AUDIT_KEYS = []
    with pytest.raises(CommandError, match="AUDIT_KEYS is not set"):
        call_command("prune", "--audit", "--yes")
    settings.AUDIT_KEYS = [KEY]
    call_command("prune", "--audit", "--yes", stdout=StringIO())
    assert not AuditEvent.objects.exists()
    settings.RETENTION_AUDIT_DAYS = 0
    assert pruning.plan([pruning.AUDIT])[0].before is None


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_lost_in_the_middle_leaves_everything_as_it_was() -> None:
    event = audit.record("proposed", ADA)
    known = AuditEvent.objects.count(), AuditCheckpoint.objects.count(), audit.verify()

    def lose(execute: Callable[..., Any], statement: str, *rest: Any) -> Any:
        result = execute(statement, *rest)
        if statement.startswith("DELETE FROM da_audit_event"):
            connection.connection.pgconn.finish()
        return result

    with pytest.raises((OperationalError, InterfaceError, ProgrammingError)), connection.execute_wrapper(lose):
        _remove()
    connection.close()
    assert (AuditEvent.objects.count(), AuditCheckpoint.objects.count(), audit.verify()) == known
    assert AuditEvent.objects.filter(pk=event.pk).exists()
