import json
import os
import re
import signal
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from data_agent import doubts, evaluation, execution, guard, hints, samples, verified
from data_agent.demo_data import DemoData
from data_agent.evaluation import same
from data_agent.hints import Mended

SHIPPED = (evaluation.QUESTIONS, evaluation.HELD_OUT, evaluation.OTHERS, evaluation.UNSEEN)


async def test_the_shipped_questions_have_queries_that_run_and_say_something(analytics: DemoData) -> None:
    sets = [evaluation.read(path) for path in SHIPPED]
    assert [len(cases) for cases in sets] == [40, 20, 40, 30]
    cases = [case for cases in sets for case in cases]
    assert len({case.question for case in cases}) == 130
    taken = {entry.question for entry in verified.shipped()}
    for case in cases:
        assert case.question not in taken
        verdict = guard.check(case.gold_sql, personal=True)
        assert verdict.allowed, (case.question, verdict.reasons)
        result = await execution.run(verdict.sql, personal=True)
        assert not result.cut


async def test_what_people_wrote_for_a_question_is_neither_changed_nor_doubted(analytics: DemoData) -> None:
    samples.forget()
    known = await samples.known()
    written = [(entry.question, entry.sql) for entry in verified.shipped()]
    for path in SHIPPED:
        written += [(case.question, case.gold_sql) for case in evaluation.read(path)]
    for question, sql in written:
        assert hints.mend(sql, known, question) == Mended(sql), question
        assert doubts.about(question, sql, known) == (), question


GOLD = [("Germany", "12.50"), ("Japan", "7.25"), ("Japan", "7.25")]


@pytest.mark.parametrize(
    "rows",
    [
        [("Japan", "7.25"), ("Germany", "12.5000"), ("Japan", "7.25")],
        [("12.5", "Germany"), ("7.25", "Japan"), ("7.250001", "Japan")],
    ],
)
def test_order_names_and_needless_digits_do_not_count(rows: list[tuple[str, str]]) -> None:
    assert same(GOLD, rows)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        GOLD[:2],
        [*GOLD, ("France", "1")],
        [("Germany", "7.25"), ("Japan", "12.50"), ("Japan", "7.25")],
        [("Germany", "12.51"), ("Japan", "7.25"), ("Japan", "7.25")],
        [("germany", "12.50"), ("Japan", "7.25"), ("Japan", "7.25")],
        [("Germany",), ("Japan",), ("Japan",)],
        [(*row, "more") for row in GOLD],
    ],
)
def test_other_rows_are_wrong(rows: list[tuple[str, ...]]) -> None:
    assert not same(GOLD, rows)


def test_columns_too_many_are_counted_apart() -> None:
    assert same(GOLD, [("x", *row) for row in GOLD], more_columns=True)
    assert not same(GOLD, [("x", row[0], "1") for row in GOLD], more_columns=True)


def test_an_average_may_be_rounded_but_not_to_a_whole_number() -> None:
    assert same([("3.9847",)], [("3.98",)])
    assert same([("3.9847",)], [("3.9846999",)])
    assert not same([("3.9847",)], [("3.99",)])
    assert not same([("3.9847",)], [("4",)])
    assert same([("4",)], [("4.00",)])


def test_a_day_is_a_day_with_and_without_a_clock() -> None:
    assert same([("2025-01-01",)], [("2025-01-01 00:00:00+00",)])
    assert not same([("2025-01-01",)], [("2025-01-01 10:00:00+00",)])
    assert same([], [])


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _line(question: str, sql: str) -> str:
    return json.dumps({"question": question, "gold_sql": sql})


@pytest.fixture
def chains(settings: Settings) -> None:
    """The command changes the chains of its process."""
    settings.LLM_CHAINS = dict(django_settings.LLM_CHAINS)


@pytest.mark.usefixtures("analytics", "chains")
def test_both_prompts_are_measured_in_one_run(tmp_path: Path) -> None:
    count = "SELECT count(*) FROM analytics_users"
    path = _file(
        tmp_path,
        _line("agent:countries", "SELECT count(*), country FROM analytics_users GROUP BY country"),
        _line("agent:prose", count),
        _line("agent:slips", f"{count} WHERE plan = 'pro' AND country IN ('United States', 'Germany')"),
        _line("agent:delete everything", count),
        "",
    )
    said, progress = StringIO(), StringIO()
    arguments = {"questions": path, "prompt": "both", "provider": "scripted", "details": True}
    call_command("evaluate_sql", stdout=said, stderr=progress, **arguments)
    output = said.getvalue()
    lines = {line[:34].strip(): line[34:].split("  ") for line in output.splitlines()}
    figures = {name: [cell.strip() for cell in cells if cell.strip()] for name, cells in lines.items()}
    assert figures["execution accuracy"] == ["3 of 4 (75.0%)", "0 of 4 (0.0%)"]
    assert figures["blocked by the guard"] == ["3 of 6 (50.0%)", "0 of 0"]
    assert "agent: agent:delete everything\n  Only SELECT is allowed" in output
    for part in ("plain", "latency, median", "tokens for each question"):
        assert part in output
    assert "8/8, right: agent 3 of 4, plain 0 of 4" in progress.getvalue()
    assert re.search(r"agent  right .* s  agent:countries", progress.getvalue())


@pytest.mark.usefixtures("chains")
def test_a_limit_that_the_guard_added_does_not_count_against_a_query(analytics: DemoData, tmp_path: Path) -> None:
    assert len(analytics.users) > guard.policy.DEFAULT_ROWS
    gold = "SELECT id FROM analytics_users"
    path = _file(tmp_path, _line("agent:all of them", gold), _line("agent:a part of them", gold))
    said, progress = StringIO(), StringIO()
    call_command("evaluate_sql", stdout=said, stderr=progress, questions=path, provider="scripted", details=True)
    assert "agent: agent:a part of them\n  other rows" in said.getvalue()
    assert "2/2, right: agent 1 of 2" in progress.getvalue()


@pytest.mark.usefixtures("analytics", "chains")
def test_what_was_measured_is_printed_when_the_process_is_ended(tmp_path: Path) -> None:
    count = "SELECT count(*) FROM analytics_users"
    path = _file(tmp_path, _line("agent:prose", count), _line("agent:slow", count))

    class EndedAfterTheFirst(StringIO):
        def write(self, text: str) -> int:
            if "agent:prose" in text:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(text)

    said = StringIO()
    call_command("evaluate_sql", stdout=said, stderr=EndedAfterTheFirst(), questions=path, provider="scripted")
    assert "Stopped after 1 of 2." in said.getvalue()
    assert "1 of 1 (100.0%)" in said.getvalue()


@pytest.mark.usefixtures("analytics", "chains")
@pytest.mark.parametrize(
    ("lines", "provider", "message"),
    [
        ([], "scripted", "no question"),
        (["{"], "scripted", "Line 1"),
        ([_line("x", "SELECT 1"), '{"question": "y"}'], "scripted", "Line 2"),
        ([_line("x", "DELETE FROM analytics_users")], "scripted", "Only SELECT is allowed"),
        ([_line("x", "SELECT 1 FROM analytics_users")], "nothing", "'nothing' is not set up"),
        ([_line("x", "SELECT 1 FROM analytics_users")], "openai", "'openai' is not set up"),
    ],
)
def test_what_cannot_be_measured_is_said(tmp_path: Path, lines: list[str], provider: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("evaluate_sql", questions=_file(tmp_path, *lines), provider=provider, stderr=StringIO())


def test_a_missing_file_is_said() -> None:
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("evaluate_sql", questions=Path("nowhere.jsonl"))
