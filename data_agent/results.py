"""What was kept of a result, as pages and files: sorted, cut into pages, CSV, JSON."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from data_agent.models import Step

PAGE_ROWS = 50
MAX_PAGE_ROWS = 1_000

Row = Sequence[str | None]
_INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
# What spreadsheet programs take for a formula (OWASP, "CSV Injection").
_FORMULA = re.compile(r"[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a result; pages count from 1."""

    rows: list[Row]
    page: int
    pages: int
    count: int


def page(
    step: Step, *, number: int = 1, size: int = PAGE_ROWS, sort: int | None = None, descending: bool = False
) -> Page:
    """Return a page of the kept rows, sorted by a column if one is given. Pages beyond the last are the last."""
    rows: list[Row] = step.rows
    if sort is not None and 0 <= sort < len(step.columns):
        rows = sort_rows(rows, sort, numeric=step.columns[sort]["numeric"], descending=descending)
    size = max(1, min(size, MAX_PAGE_ROWS))
    pages = max(1, -(-len(rows) // size))
    number = max(1, min(number, pages))
    return Page(rows[(number - 1) * size : number * size], number, pages, len(rows))


def sort_rows(rows: Sequence[Row], column: int, *, numeric: bool, descending: bool) -> list[Row]:
    """Return the rows in the order of a column: numbers by size, texts without regard to case, empty cells last."""
    empty = [row for row in rows if row[column] is None]
    filled = [row for row in rows if row[column] is not None]
    filled.sort(key=lambda row: _key(str(row[column]), numeric), reverse=descending)
    return [*filled, *empty]


def _key(cell: str, numeric: bool) -> tuple[Decimal, str]:
    if numeric:
        try:
            value = Decimal(cell)
        except InvalidOperation:
            return Decimal(0), cell
        # NaN has no place among numbers; PostgreSQL puts it above all.
        return (Decimal("Infinity") if value.is_nan() else value), ""
    return Decimal(0), cell.casefold()


def as_csv(step: Step) -> Iterator[str]:
    """Yield the kept rows as CSV (RFC 4180). Texts that a spreadsheet would calculate get an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([_cell(column["name"], numeric=False) for column in step.columns])
    for row in step.rows:
        writer.writerow([_cell(cell, column["numeric"]) for cell, column in zip(row, step.columns, strict=True)])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json(step: Step) -> str:
    """Return the kept rows as JSON, with question and query. Numbers are numbers where JSON keeps them exact."""
    document = {
        "question": step.question,
        "sql": step.sql,
        "sha256": step.sql_sha256,
        "run_at": step.decided_at.isoformat() if step.decided_at else None,
        "cut": step.cut,
        "columns": [{"name": column["name"], "type": column["type"]} for column in step.columns],
        "rows": [
            [_value(cell, column["type"], column["numeric"]) for cell, column in zip(row, step.columns, strict=True)]
            for row in step.rows
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def _cell(cell: str | None, numeric: bool) -> str:
    if cell is None:
        return ""
    return f"'{cell}" if not numeric and _FORMULA.match(cell) else cell


def _value(cell: str | None, type_name: str, numeric: bool) -> Any:
    if cell is None or not numeric:
        return {"t": True, "f": False}.get(cell or "", cell) if type_name == "bool" else cell
    if type_name in _INTEGERS:
        return int(cell)
    value = float(cell)
    # Infinity and NaN have no JSON; a long numeric would lose digits.
    exact = value == value and abs(value) != float("inf") and Decimal(repr(value)) == Decimal(cell)
    return value if exact else cell
