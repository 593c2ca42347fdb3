"""The migrations that alter tables which are busy while they run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import Model

# Tables that every question writes to. The last of them Django's models do not manage.
BUSY = ("kf_chatmessage", "kf_outbox", "wbs_chatmessage", "llm_call", "da_audit_event")
_APPS = ("kafka_chat", "ws_chat", "llm", "data_agent")


@dataclass(frozen=True)
class Alteration:
    """A migration, and the busy tables that were there before it and are altered by it."""

    app: str
    name: str
    tables: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.app}.{self.name}"

    @property
    def sql(self) -> str:
        """What it does, as one transaction."""
        out = StringIO()
        call_command("sqlmigrate", self.app, self.name, stdout=out, no_color=True)
        return out.getvalue()

    def models_before(self) -> dict[str, type[Model]]:
        """Return the models, by their tables, as the code before it has them."""
        apps = _loader().project_state((self.app, self.name), at_end=False).apps
        return {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}


def alterations() -> Iterator[Alteration]:
    """Yield them, by app and number."""
    loader = _loader()
    for key in sorted(loader.disk_migrations):
        if key[0] in _APPS and (tables := _altered(loader, *key)):
            yield Alteration(*key, tables)


def _altered(loader: MigrationLoader, app: str, name: str) -> tuple[str, ...]:
    known = [model._meta for model in loader.project_state((app, name), at_end=False).apps.get_models()]
    words = "\n".join(map(_words, loader.disk_migrations[app, name].operations))
    altered = [
        meta.db_table
        for meta in known
        if meta.app_label == app and re.search(rf"\b({meta.model_name}|{meta.db_table})\b", words, re.I)
    ]
    return tuple(table for table in altered if table in BUSY and f"CREATE TABLE {table} " not in words)


def _words(operation: Operation) -> str:
    return f"{getattr(operation, 'model_name', '')} {getattr(operation, 'sql', '')}"


def _loader() -> MigrationLoader:
    return MigrationLoader(None)
