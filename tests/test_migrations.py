"""Migrations run while the release before serves: it goes on working, and is not kept waiting.

docs/how-to/upgrade.md says how to write one.
"""

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.utils import timezone

from tests.migrations import Alteration, alterations
from ws_chat.models import ChatMessage

# Rules of squawk about what reads or writes have to wait for while a table is scanned, and about what old code misses.
RULES = {
    "adding-foreign-key-constraint",
    "adding-not-nullable-field",
    "adding-required-field",
    "ban-drop-column",
    "ban-drop-table",
    "changing-column-type",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "renaming-column",
    "renaming-table",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
}
# From before there was a release, when no table was large. No other may come to them.
EARLIER = {
    "data_agent.0003_steps_of_questions": {"adding-foreign-key-constraint", "require-concurrent-index-creation"},
    "kafka_chat.0002_open_questions": {"require-concurrent-index-creation"},
    "kafka_chat.0003_stopped": {
        "constraint-missing-not-valid",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
    },
    "ws_chat.0002_turns_ratings_conversations": {
        "adding-not-nullable-field",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
    },
}
# What a field holds that old code has to fill.
_VALUES: dict[type, Any] = {
    models.UUIDField: uuid.uuid4,
    models.CharField: lambda: "xx",
    models.TextField: lambda: uuid.uuid4().hex,
    models.DateTimeField: timezone.now,
    models.JSONField: dict,
    models.BinaryField: lambda: b"key",
    models.BooleanField: lambda: False,
    models.PositiveIntegerField: lambda: 1,
}

ALTERATIONS = list(alterations())


def _written(model: type[models.Model]) -> models.Model:
    """Return a row as old code makes one: with a value for each column that it knows and must fill."""
    values = {
        field.attname: _VALUES[type(field)]()
        for field in model._meta.concrete_fields
        if not field.has_default() and not field.null and not isinstance(field, models.AutoField)
    }
    return model._base_manager.create(**values)


@pytest.mark.django_db
@pytest.mark.parametrize("alteration", ALTERATIONS, ids=str)
def test_code_from_before_a_migration_works_on_the_newest_schema(alteration: Alteration) -> None:
    known = alteration.models_before()
    for table in alteration.tables:
        rows = known[table]._base_manager
        stored = _written(known[table])
        read = rows.get(pk=stored.pk)
        assert [getattr(read, field.attname) for field in known[table]._meta.concrete_fields if not field.null]
        if table == "da_audit_event":
            continue
        # As Django saves: every column that the old code knows.
        read.save(force_update=True)
        assert rows.filter(pk=stored.pk).delete()[0] == 1


@pytest.mark.django_db
def test_a_run_that_old_code_stores_is_its_own_turn() -> None:
    (alteration,) = (each for each in ALTERATIONS if str(each) == "ws_chat.0002_turns_ratings_conversations")
    stored = _written(alteration.models_before()["wbs_chatmessage"])
    assert ChatMessage.objects.get(pk=stored.pk).turn_id == stored.pk


# Outside a transaction, where alone Django writes down what makes an index concurrently.
@pytest.mark.django_db(transaction=True)
def test_no_migration_lets_a_busy_table_wait() -> None:
    found = {str(each): rules for each in ALTERATIONS if (rules := _problems(each.sql))}
    assert found == EARLIER, "See docs/how-to/upgrade.md for how to do it without a lock."


def _problems(sql: str) -> set[str]:
    """Return which of the rules squawk sees broken. Its status is 1 where any is, ours or not."""
    said = subprocess.run(
        [
            *(Path(sys.executable).with_name("squawk"), "--reporter", "gcc", "--pg-version", "17"),
            *("--stdin-filepath", "migration.sql"),
        ],
        input=sql,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode in (0, 1), said.stderr
    # As a compiler says it: file, place, "warning", then the rule and its meaning.
    broken = [line.split(": ", 2)[2] for line in said.stdout.splitlines() if line.startswith("migration.sql:")]
    return {line.split()[0] for line in broken} & RULES
