"""The site's traffic by day as curves, and what they say to those who do not see them."""

from datetime import date, timedelta

from llm.timelines import curves, reports
from llm.timelines.models import Chat, Transport
from llm.timelines.statistics import Line

_LAST = date(2026, 3, 31)


def _line(
    transport: str = "held", days_ago: int | None = None, *, chat: str = "kafka", **figures: float | None
) -> Line:
    day = None if days_ago is None else _LAST - timedelta(days=days_ago)
    values = {"first_sight_median": 100.0, "first_sight_p95": 200.0, "completion_median": 1000.0}
    values |= {"completion_p95": 3000.0, "reads": 1.0, "writes": 3.5} | figures
    return Line(chat, transport, day, answers=1, reconnects=0, **values)


def test_there_is_a_drawing_for_each_measure_with_a_scale_of_its_own() -> None:
    drawn = curves.of([_line(), _line(days_ago=0), _line(days_ago=1, completion_p95=1500)])
    assert drawn is not None
    assert (drawn.first, drawn.last, drawn.width) == (_LAST - timedelta(days=1), _LAST, 2)
    assert {each.title: (each.top, each.middle) for each in drawn.drawings} == {
        "First sight, median": ("100 ms", "50 ms"),
        "First sight, p95": ("200 ms", "100 ms"),
        "Completion, median": ("1.00 s", "500 ms"),
        "Completion, p95": ("4.00 s", "2.00 s"),
        "Reads for each answer": ("1", "0.5"),
        "Writes for each answer": ("4", "2"),
    }
    p95 = drawn.drawings[3]
    assert p95.sentence == "Completion, p95, by day. In all: Kafka chat, held polling 3.00 s."
    (curve,) = p95.curves
    assert curve.path == "M0.50 62.5L1.50 25.0"
    assert [(point.x, point.y, point.tip) for point in curve.points] == [
        ("25.00%", "62.5%", "March 30, 2026: 1.50 s"),
        ("75.00%", "25.0%", "March 31, 2026: 3.00 s"),
    ]


def test_ways_stand_beside_each_other_under_the_same_numbers_in_every_period() -> None:
    lines = [_line("websocket", 0, chat="websocket", reads=0), _line("sse", 0), _line("sse")]
    drawn = curves.of(lines)
    assert drawn is not None
    assert drawn.legend == [(2, "Kafka chat, server-sent events"), (3, "WebSocket chat, WebSocket")]
    reads = drawn.drawings[4]
    assert [(curve.way, curve.path) for curve in reads.curves] == [(2, "M0.25 0.0"), (3, "M0.75 100.0")]


def test_a_day_without_answers_breaks_the_curve_and_a_day_between_two_of_them_is_seen() -> None:
    drawn = curves.of([_line(days_ago=ago) for ago in (0, 1, 40, 80, 81, 82)])
    assert drawn is not None
    (curve,) = drawn.drawings[0].curves
    assert curve.path.count("M") == 3
    assert "Feb. 19, 2026: 100 ms" in [point.tip for point in curve.points]


def test_curves_of_many_days_have_few_shapes() -> None:
    drawn = curves.of([_line(days_ago=ago) for ago in range(90)])
    assert drawn is not None
    assert {len(curve.points) for each in drawn.drawings for curve in each.curves} == {12}


def test_a_way_of_which_nothing_was_seen_before_the_end_has_no_first_sight() -> None:
    unseen = {"first_sight_median": None, "first_sight_p95": None}
    drawn = curves.of([_line(**unseen), _line(days_ago=0, **unseen)])
    assert drawn is not None
    assert (drawn.drawings[0].curves[0].path, drawn.drawings[2].curves[0].path) == ("", "M0.50 0.0")
    assert drawn.drawings[0].sentence.endswith("In all: \N{EN DASH}.")


def test_where_nobody_asked_there_is_no_drawing() -> None:
    assert curves.of([]) is None


def test_every_way_there_may_be_has_a_number() -> None:
    known = {(Chat(chat), Transport(each)) for chat, ways in reports._WAYS.items() for each in ways}
    assert known == set(curves._WAYS)
