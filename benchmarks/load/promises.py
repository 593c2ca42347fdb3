"""What must be true after a long run, from the rows and from what the visitors saw.

Of the Kafka chat it is what the fault test asks for. Of the WebSocket chat each run has one row, with what was seen:
the whole answer, or, where its server was killed, a beginning of it. Of the data agent nothing ran that was not
approved, and nothing twice; each step that was approved has one end, and each question's page saw that of its own.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from benchmarks.load.analysts import Analysis
from benchmarks.load.mix import Mix
from benchmarks.load.patient import Asked

# Seconds in which the rows of runs whose process was lost have to come.
_ROWS_WITHIN = 90.0
_RUNS = "SELECT run_id::text, question, answer, status, error FROM wbs_chatmessage"
_UNAPPROVED = """
    SELECT e.id FROM da_audit_event e WHERE e.kind = 'executed' AND e.id > %s AND NOT EXISTS (
        SELECT FROM da_audit_event a
        WHERE a.kind = 'approved' AND a.step_id = e.step_id AND a.fingerprint = e.fingerprint AND a.id < e.id)
"""
_STEPS = "SELECT id::text, state, answer, error FROM da_step"
_EVENTS = "SELECT step_id::text, kind FROM da_audit_event WHERE step_id IS NOT NULL"


def of_runs(asked: Sequence[Asked], mix: Mix, database_url: str) -> list[str]:
    """Return a line for everything that is wrong with the WebSocket chat; waits for rows that are still to come."""
    deadline = time.monotonic() + _ROWS_WITHIN
    rows = _rows(database_url)
    while not {each.run for each in asked if each.run} <= rows.keys() and time.monotonic() < deadline:
        time.sleep(1)
        rows = _rows(database_url)
    found = [f"{each.question} (run {each.run}): {problem}" for each in asked for problem in of_run(each, mix, rows)]
    sent: Counter[str] = Counter()
    for each in asked:
        sent[each.question] += each.sends
    for question, number in Counter(row["question"] for row in rows.values()).items():
        if number > sent[question]:
            found.append(f"{question}: asked {sent[question]} times, and there are {number} rows")
    return found


def of_run(asked: Asked, mix: Mix, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a line for everything that is wrong with one question, given the rows by their runs."""
    yield from asked.problems
    if not asked.end:
        yield f"no end, after it was asked {asked.sends} times"
    if not asked.run:
        return
    row, script = rows.get(asked.run), mix.answer(asked.number)
    if row is None:
        yield "there is no row"
        return
    if row["question"] != asked.question:
        yield f"the row has another question: {row['question']}"
    if not script.startswith(row["answer"]):
        yield f"the row has another answer: {row['answer'][:80]}"
    if row["status"] == "done" and row["answer"] != script:
        yield f"the row lacks {len(script) - len(row['answer'])} characters"
    if row["status"] not in ("done", "interrupted"):
        yield f"it ended as {row['status']}: {row['error']}"
    if asked.end and (asked.end["outcome"], asked.end["text"]) != (row["status"], row["answer"]):
        yield f"the page was told {asked.end['outcome']}, {asked.end['text'][-40:]!r}; the row says {row['status']}"
    if asked.end and asked.end["outcome"] == "done" and asked.text != script:
        yield f"the page showed {asked.text[-80:]!r} when it ended"


def _rows(database_url: str) -> dict[str, dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return {row["run_id"]: row for row in connection.execute(_RUNS)}


def of_analyses(asked: Sequence[Analysis], database_url: str, after: int = 0) -> list[str]:
    """Return a line for everything that is wrong with the data agent, but for the chain of its log.

    The log is never emptied: events up to that id, of others before, are not judged.
    """
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        unapproved = connection.execute(_UNAPPROVED, [after])
        found = [f"event {row['id']}: a query ran that was not approved" for row in unapproved]
        steps = {row["id"]: row for row in connection.execute(_STEPS)}
        events = defaultdict(list)
        for row in connection.execute(_EVENTS):
            events[row["step_id"]].append(row["kind"])
    for each in asked:
        found += [f"{each.question} (step {each.step.get('id')}): {problem}" for problem in each.problems()]
        found += [f"step {each.step['id']}: {problem}" for problem in of_page(each, steps)]
    return found + [f"step {name}: {problem}" for name in steps for problem in of_step(steps[name], events[name])]


def of_page(asked: Analysis, steps: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line where a page showed another end of its question than the step has."""
    if asked.has_ended:
        row = steps.get(asked.step["id"], {})
        seen, stored = ((each.get("state"), each.get("answer"), each.get("error")) for each in (asked.step, row))
        if seen != stored:
            yield f"the page showed {seen}; the row says {stored}"


def of_step(step: Mapping[str, Any], events: Sequence[str]) -> Iterator[str]:
    """Yield a line for everything in the log of one step that must not be there, or that lacks."""
    number = Counter(events)
    for kind in ("approved", "executed", "answered"):
        if number[kind] > 1:
            yield f"{kind} {number[kind]} times"
    ends = number["executed"] + number["failed"] + number["cancelled"]
    if ends != number["approved"]:
        yield f"approved {number['approved']} times, with {ends} ends"
    if step["state"] in ("approved", "executed"):
        yield f"left behind as {step['state']}"
    if (step["state"] == "answered") != bool(number["answered"]):
        yield f"{step['state']}, and answered {number['answered']} times in the log"
