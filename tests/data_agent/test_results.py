import csv
import io
import json

import pytest

from data_agent import results
from data_agent.models import Step

COLUMNS = [
    {"name": "name", "type": "text", "numeric": False},
    {"name": "total", "type": "numeric", "numeric": True},
    {"name": "count", "type": "int8", "numeric": True},
    {"name": "good", "type": "bool", "numeric": False},
]
ROWS = [
    ["beta", "9.50", "10", "t"],
    ["Alpha", "100.25", "2", "f"],
    [None, None, None, None],
    ["=HYPERLINK(1)", "-1.00", "-3", "t"],
]


@pytest.fixture
def step() -> Step:
    return Step(question="Which?", sql="SELECT 1", sql_sha256="0" * 64, columns=COLUMNS, rows=ROWS)


def test_numbers_sort_by_size_texts_without_case_and_empty_cells_last(step: Step) -> None:
    def order(sort: int, *, descending: bool = False) -> list[object]:
        return [row[sort] for row in results.page(step, sort=sort, descending=descending).rows]

    assert order(1) == ["-1.00", "9.50", "100.25", None]
    assert order(1, descending=True) == ["100.25", "9.50", "-1.00", None]
    assert order(0) == ["=HYPERLINK(1)", "Alpha", "beta", None]


def test_numbers_that_are_none_have_their_place(step: Step) -> None:
    step.rows = [
        ["a", "NaN", "1", "t"],
        ["b", "Infinity", "1", "t"],
        ["c", "-Infinity", "1", "t"],
        ["d", "0", "1", "t"],
    ]
    assert [row[1] for row in results.page(step, sort=1).rows][:2] == ["-Infinity", "0"]


def test_pages_are_cut_and_beyond_the_last_is_the_last(step: Step) -> None:
    page = results.page(step, number=99, size=3)
    assert (page.page, page.pages, page.count, page.rows) == (2, 2, 4, ROWS[3:])
    step.rows = []
    assert results.page(step).pages == 1


def test_csv_is_what_was_shown_and_nothing_a_spreadsheet_would_calculate(step: Step) -> None:
    lines = list(csv.reader(io.StringIO("".join(results.as_csv(step)))))
    assert lines == [
        ["name", "total", "count", "good"],
        ["beta", "9.50", "10", "t"],
        ["Alpha", "100.25", "2", "f"],
        ["", "", "", ""],
        ["'=HYPERLINK(1)", "-1.00", "-3", "t"],
    ]


def test_json_has_numbers_where_they_are_exact(step: Step) -> None:
    step.rows = [*ROWS, ["long", "0.12345678901234567890", "9007199254740993", "t"], ["odd", "NaN", "1", "f"]]
    document = json.loads(results.as_json(step))
    assert document["columns"][1] == {"name": "total", "type": "numeric"}
    assert document["rows"][0] == ["beta", 9.5, 10, True]
    assert document["rows"][2] == [None, None, None, None]
    assert document["rows"][4] == ["long", "0.12345678901234567890", 9007199254740993, True]
    assert document["rows"][5] == ["odd", "NaN", 1, False]
    assert (document["question"], document["sql"]) == ("Which?", "SELECT 1")
