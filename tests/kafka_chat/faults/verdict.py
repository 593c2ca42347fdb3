"""What must be true at the end of a run, from PostgreSQL and from what the visitors saw.

Order within a session: a question that was posted after an earlier one of its visitor had been accepted is not begun
before the earlier one is finished. It can be seen where both were answered: the first token of the later one is not
before `answered_at` of the earlier one. A failure has no time, so it puts nothing in order.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.kafka_chat.faults.visitors import Asked

_ROWS = """
    SELECT message_id::text, session_id::text, message, response, status, error, attempts, first_token_at, answered_at
    FROM kf_chatmessage
"""


# Every change of a question's end, of which there must be one.
_NOTE_ENDS = """
    CREATE TABLE ends (message_id uuid);
    CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO ends VALUES (NEW.message_id); RETURN NULL; END';
    CREATE TRIGGER note_end AFTER UPDATE ON kf_chatmessage FOR EACH ROW
        WHEN (NEW.status IN ('answered', 'failed')
              AND (NEW.status, NEW.response, NEW.error) IS DISTINCT FROM (OLD.status, OLD.response, OLD.error))
        EXECUTE FUNCTION note_end();
"""


def note_ends(database_url: str) -> None:
    """Have PostgreSQL note each time that a question ends, so that a second end is seen."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_NOTE_ENDS)


def unsent(database_url: str) -> int:
    """Return how much still waits in the outbox."""
    with psycopg.connect(database_url) as connection:
        (number,) = connection.execute("SELECT count(*) FROM kf_outbox WHERE sent_at IS NULL").fetchone() or (0,)
    return int(number)


def problems(asked: list[Asked], database_url: str) -> list[str]:
    """Return a line for everything that is wrong."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        stored = {row["message_id"]: row for row in connection.execute(_ROWS)}
        ends = Counter(row["id"] for row in connection.execute("SELECT message_id::text AS id FROM ends"))
    found = [line for one in asked for line in _of_one(one, stored, ends)]
    known = {message_id for one in asked for message_id in one.message_ids}
    found += [f"a row that nobody asked for: {row}" for key, row in stored.items() if key not in known]
    return found + list(_out_of_order(asked, stored))


def _of_one(asked: Asked, stored: dict[str, dict[str, Any]], ends: Counter[str]) -> Iterator[str]:
    if len(asked.message_ids) != 1:
        yield f"{asked}: {'never accepted' if not asked.message_ids else 'accepted several times'}"
        return
    (message_id,) = asked.message_ids
    row = stored.get(message_id)
    if row is None:
        yield f"{asked}: accepted, and there is no row"
        return
    place = f"{asked} ({message_id})"
    if row["status"] not in ("answered", "failed"):
        yield f"{place}: still {row['status']} after {asked.took:.0f} s and {row['attempts']} attempts"
        return
    if row["message"] != asked.ask.text:
        yield f"{place}: the row has another text: {row['message']}"
    if row["status"] == "answered" and row["response"] != asked.ask.answer:
        yield f"{place}: another question's answer: {row['response']}"
    if row["status"] == "failed" and not row["error"]:
        yield f"{place}: failed without a sentence"
    if ends[message_id] != 1:
        yield f"{place}: ended {ends[message_id]} times"
    if not asked.end:
        yield f"{place}: {row['status']}, and the visitor was not told"
    elif any(asked.end[name] != row[name] for name in ("status", "response", "error")):
        yield f"{place}: the visitor was told something else: {asked.end['response'] or asked.end['error']}"


def _out_of_order(asked: list[Asked], stored: dict[str, dict[str, Any]]) -> Iterator[str]:
    by_visitor: defaultdict[int, list[tuple[Asked, dict[str, Any]]]] = defaultdict(list)
    for one in asked:
        for row in (stored[message_id] for message_id in one.message_ids if message_id in stored):
            if row["status"] == "answered":
                by_visitor[one.visitor].append((one, row))
    for answered in by_visitor.values():
        for (earlier, before), (later, after) in pairwise(answered):
            if after["first_token_at"] < before["answered_at"]:
                early = (before["answered_at"] - after["first_token_at"]).total_seconds()
                yield f"{later}: begun {early:.1f} s before the answer to {earlier.ask.text}"
