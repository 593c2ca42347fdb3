"""The site's traffic in figures: by way and day, of complete answers, for all to see and for staff to take away."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from llm.timelines import statistics
from llm.timelines.statistics import Line
from tests.llm.timelines.conftest import timeline

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def today() -> datetime:
    """A moment of today, by UTC."""
    return timezone.now().astimezone(UTC)


@pytest.fixture
def traffic(today: datetime) -> None:
    """Five polls of two days, a run, and what does not count."""
    for number in range(5):
        at = today - DAY * (number // 4)
        timeline(asked_at=at, first_seen_ms=None, seen_ms=1000 * (number + 1), reads=number).save()
    timeline(
        asked_at=today, chat="websocket", transport="websocket", outcome="done", first_seen_ms=100, seen_ms=2000
    ).save()
    timeline(asked_at=today, outcome="stopped", seen_ms=1).save()
    timeline(asked_at=today - 8 * DAY, seen_ms=1).save()


def test_ways_are_told_in_all_and_by_day(traffic: None, today: datetime) -> None:
    with CaptureQueriesContext(connection) as queries:
        lines = statistics.of_last(7)
    assert len(queries) == 1
    assert [(line.way, line.day and (today.date() - line.day).days) for line in lines] == [
        ("Kafka chat, held polling", None),
        ("WebSocket chat, WebSocket", None),
        ("Kafka chat, held polling", 0),
        ("WebSocket chat, WebSocket", 0),
        ("Kafka chat, held polling", 1),
    ]
    assert lines[0] == Line("kafka", "held", None, 5, None, None, 3000, 4800, 2, 3.5, 0)
    assert (lines[1].first_sight_median, lines[1].completion_p95) == (100, 2000)
    assert (lines[2].answers, lines[2].completion_median) == (4, 2500)
    assert [line.answers for line in statistics.of_last(1)] == [4, 1, 4, 1]


def test_old_timelines_are_not_looked_at() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {statistics._STATISTICS}", [timezone.now()])
        assert any("llm_timeline_asked" in line for (line,) in cursor.fetchall())


@pytest.mark.parametrize(("text", "days"), [("7", 7), ("90", 90), (None, 30), ("36500", 30), ("x", 30)])
def test_the_period_is_one_of_a_few(text: str | None, days: int) -> None:
    assert statistics.read_days(text) == days


def test_everybody_sees_the_figures_and_no_file(traffic: None) -> None:
    page = Client().get("/compare/?days=7").content.decode()
    assert "Kafka chat, held polling" in page
    assert "3.00 s" in page and "4.80 s" in page
    assert page.count('class="curves-drawing"') == 6
    assert "Completion, p95, by day. In all: Kafka chat, held polling 4.80 s; WebSocket chat, WebSocket 2.00 s." in page
    assert "statistics.csv" not in page
    for address in ("/compare/statistics.csv", "/compare/statistics.json"):
        response = Client().get(address)
        assert (response.status_code, response["Location"].startswith("/admin/login/")) == (302, True)


def test_staff_take_the_figures_away(traffic: None) -> None:
    staff = Client()
    staff.force_login(User.objects.create_user("operator", password="x", is_staff=True))
    assert "/compare/statistics.csv?days=7" in staff.get("/compare/?days=7").content.decode()
    rows = list(csv.DictReader(StringIO(staff.get("/compare/statistics.csv?days=7").content.decode())))
    assert len(rows) == 5
    assert (rows[0]["transport"], rows[0]["day"], rows[0]["completion_p95"]) == ("held", "", "4800.0")
    document = staff.get("/compare/statistics.json?days=7").json()["statistics"]
    assert [line["answers"] for line in document] == [int(row["answers"]) for row in rows]


def test_where_nobody_asked_the_page_says_what_to_do() -> None:
    page = Client().get("/compare/?days=1").content.decode()
    assert "Nobody has seen an answer come" in page
    assert "<figure" not in page
