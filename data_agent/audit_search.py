"""Reading the audit log: filters, pages and exports. Nothing here writes, but the note that somebody exported."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from data_agent import audit
from data_agent.models import AuditEvent

PAGE = 50
COLUMNS = [
    "id",
    "at",
    "kind",
    "person",
    "address",
    "session_id",
    "step_id",
    "question",
    "sql",
    "fingerprint",
    "verdict",
    "cost",
    "rows",
    "bytes",
    "duration_ms",
    "error",
    "previous_hash",
    "hash",
]


class BadFilter(ValueError):
    """A filter that cannot be read; the message is for people."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; empty parts do not narrow. Days are those of UTC, both included."""

    kind: str = ""
    person: str = ""
    session: str = ""
    step: str = ""
    text: str = ""
    fingerprint: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: dict[str, str]) -> "Filter":
        """Return the filter that a form's fields mean."""
        names = {each.name for each in fields(cls)}
        return cls(**{name: values[name].strip() for name in names if values.get(name)})

    def events(self) -> QuerySet[AuditEvent]:
        """Return the events, the newest first; raises BadFilter."""
        found = AuditEvent.objects.all()
        if self.kind:
            if self.kind not in audit.KINDS:
                raise BadFilter(gettext("There is no kind “%(kind)s”.") % {"kind": self.kind})
            found = found.filter(kind=self.kind)
        if self.person:
            # "7 ada": the account's number and its name.
            found = found.filter(Q(person__iendswith=f" {self.person}") | Q(person__startswith=f"{self.person} "))
        if self.session:
            found = found.filter(session_id=_uuid(self.session, gettext("“%(text)s” is no conversation's number.")))
        if self.step:
            found = found.filter(step_id=_uuid(self.step, gettext("“%(text)s” is no step's number.")))
        if self.fingerprint:
            found = found.filter(fingerprint__startswith=self.fingerprint.lower())
        if self.text:
            text = audit.clean(self.text)
            found = found.filter(Q(question__icontains=text) | Q(sql__icontains=text) | Q(error__icontains=text))
        if self.since:
            found = found.filter(at__gte=_midnight(self.since))
        if self.until:
            found = found.filter(at__lt=_midnight(self.until) + timedelta(days=1))
        return found.order_by("-id")


def page(events: QuerySet[AuditEvent], before: int | None) -> tuple[list[AuditEvent], bool]:
    """Return the next events below a number, and whether there are more."""
    found = list((events.filter(id__lt=before) if before else events)[: PAGE + 1])
    return found[:PAGE], len(found) > PAGE


def as_csv(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield the events as CSV, the oldest first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for event in events.order_by("id").iterator(chunk_size=500):
        writer.writerow([_cell(value) for value in _content(event).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json_lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield the events as JSON Lines, oldest first, with their hashes: the chain can be checked elsewhere."""
    for event in events.order_by("id").iterator(chunk_size=500):
        yield json.dumps(_content(event), ensure_ascii=False) + "\n"


def _content(event: AuditEvent) -> dict[str, Any]:
    return {name: _plain(getattr(event, name)) for name in COLUMNS}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, UUID) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    # Spreadsheet programs would calculate it.
    return f"'{text}" if isinstance(value, str) and text[:1] in "=+-@\t\r" and text else text


def _uuid(text: str, complaint: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadFilter(complaint % {"text": text}) from None


def _midnight(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    except ValueError:
        raise BadFilter(gettext("“%(text)s” is no day. Write it as 2026-11-21.") % {"text": text}) from None
