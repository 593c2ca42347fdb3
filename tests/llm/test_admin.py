"""The ledger and the price table, as operators see them."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from config import plots
from llm.ledger.calls import Ledger
from llm.ledger.summary import dollars
from llm.models import Call, Price
from tests.llm.ledger.rows import call
from tests.operators import operator_of, steady_queries

pytestmark = pytest.mark.django_db

CALLS = "/admin/llm/call/"
PRICES = "/admin/llm/price/"


@pytest.fixture(autouse=True)
def price() -> Price:
    """The only price: gpt-4o-mini costs 0.002 USD for the calls of these tests."""
    Price.objects.all().delete()
    return Price.objects.create(
        provider="openai",
        model="gpt-4o-mini",
        valid_from=timezone.now() - timedelta(days=400),
        prompt_usd=1,
        completion_usd=10,
    )


def _record(days_ago: int = 0, **values: object) -> None:
    ledger = Ledger(in_background=False)
    ledger.record(call(started_at=timezone.now() - timedelta(days=days_ago), **values))
    ledger.flush()


@pytest.fixture
def operator() -> Client:
    """Somebody who may do everything with calls and prices."""
    return operator_of("llm", "view_call", "change_call", "view_price", "add_price", "change_price", "delete_price")


def _lines(client: Client, query: str = "") -> dict[str, list[tuple[str, ...]]]:
    """Return the tables of totals: names, calls, tokens, cost, failed, first token."""
    summary = client.get(CALLS + query).context["summary"]
    return {
        table.title: [
            (*line.names, line.calls, line.prompt, line.completion, line.cost, line.failed, line.first)
            for line in table.lines
        ]
        for table in summary["tables"]
    }


def test_totals_for_each_day_provider_and_purpose(operator: Client) -> None:
    today, yesterday = (str(timezone.now().date() - timedelta(days=days)) for days in (0, 1))
    _record(first_token_seconds=0.1)
    _record(first_token_seconds=0.2)
    _record(first_token_seconds=0.9)
    _record(outcome="TimedOut", prompt_tokens=0, completion_tokens=0, first_token_seconds=None)
    _record(1, purpose="sql", provider="gemini", model="new", first_token_seconds=0.5)
    lines = _lines(operator)
    first = (today, "4", "3,000", "300", "$0.006", "25.0%", "200 ms")
    second = (yesterday, "1", "1,000", "100", "unknown", "0.0%", "500 ms")
    assert lines["By day"] == [first, second]
    assert lines["By provider"] == [("gemini", *second[1:]), ("openai", *first[1:])]
    assert lines["By purpose"] == [("chat", *first[1:]), ("sql", *second[1:])]
    assert lines["By day, provider and purpose"] == [
        (today, "openai", "chat", *first[1:]),
        (yesterday, "gemini", "sql", *second[1:]),
    ]
    everything = operator.get(CALLS).context["summary"]["everything"]
    assert (everything.calls, everything.cost, everything.failed) == ("5", "$0.006 + 1 unknown", "20.0%")


def test_totals_follow_the_filters(operator: Client) -> None:
    _record()
    _record(fallback=True, outcome="left")
    _record(1, estimated=True, purpose="sql")
    _record(3, provider="gemini", model="new", outcome="TimedOut")
    _record(200)
    yesterday = timezone.now().date() - timedelta(days=1)
    expected = {
        "": 4,
        "?day=today": 2,
        "?day=yesterday": 1,
        "?day=7": 4,
        "?day=all": 5,
        f"?day={yesterday}": 1,
        "?provider=gemini": 1,
        "?model=new": 1,
        "?purpose__exact=sql": 1,
        "?outcome=TimedOut": 1,
        "?fallback__exact=1": 1,
        "?estimated__exact=1": 1,
        "?cost=unknown": 1,
        "?cost=known&day=all": 4,
        "?provider=nobody": 0,
    }
    for query, count in expected.items():
        context = operator.get(CALLS + query).context
        assert (query, context["cl"].result_count) == (query, count)
        assert (query, context["summary"]["everything"].calls) == (query, str(count))


def test_a_line_of_the_totals_leads_to_its_calls(operator: Client) -> None:
    _record()
    _record(1, purpose="sql")
    _record(1)
    summary = operator.get(CALLS + "?provider=openai").context["summary"]
    for table in summary["tables"]:
        for line in table.lines:
            assert operator.get(CALLS + line.link).context["summary"]["everything"].calls == line.calls


@pytest.mark.parametrize("day", ["tomorrow", "2026-02-31", "9999-12-31", "-1"])
def test_a_day_that_is_none_is_refused(operator: Client, day: str) -> None:
    assert operator.get(f"{CALLS}?day={day}").status_code == 302
    assert operator.get(f"{CALLS}csv/?day={day}").status_code == 400


def test_an_unknown_cost_is_never_shown_as_nothing(operator: Client) -> None:
    _record(model="unheard-of")
    page = operator.get(CALLS).content.decode()
    assert "unknown" in page
    assert "$0" not in page
    detail = operator.get(f"{CALLS}{Call.objects.get().pk}/change/").content.decode()
    assert "unknown" in detail
    assert "$0" not in detail


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(operator: Client) -> None:
    def record(day: int) -> None:
        _record(day, model=f"gpt-4o-mini-{day}", provider=("openai", "gemini")[day % 2])

    # Session, person and two for permissions; count and rows; three filters; five totals.
    assert steady_queries(operator, CALLS, record, few=2, many=29) <= 14


def test_plots_say_the_same_in_words_and_need_no_inline_style(operator: Client) -> None:
    for day in (0, 2, 5):
        _record(day)
    response = operator.get(CALLS)
    tokens, cost = response.context["summary"]["plots"]
    assert (tokens.width, len(tokens.bars), cost.width) == (6, 6, 6)
    assert [bar.height for bar in tokens.bars if bar.height != "0.00"] == ["55.00"] * 3
    page = response.content.decode()
    assert f"{tokens.title} from {tokens.first} to {tokens.last}: 3.3k in all, at most 1.1k" in page
    assert "$0.006 in all" in page
    assert 'style="' not in page
    assert "<style" not in page


def test_a_plot_is_drawn_from_two_days_on_and_not_for_zeros() -> None:
    day = timezone.now().date()
    assert plots.per_day("t", {}, str) is None
    assert plots.per_day("t", {day: 5}, str) is None
    assert plots.per_day("t", {day: 0, day - timedelta(days=1): 0}, str) is None
    plot = plots.per_day("t", {day: 0.00017, day - timedelta(days=500): 3}, dollars)
    assert plot is not None
    assert (plot.width, plot.top, plot.bars[-1].height) == (plots.DAYS, "$0.0002", "85.00")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.0000001", "< $0.000001"),
        ("0.0042", "$0.0042"),
        ("0.974217", "$0.9742"),
        ("0.1", "$0.10"),
        ("0.99999999", "$1.00"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_amounts_have_the_digits_that_say_something(amount: str, text: str) -> None:
    assert dollars(Decimal(amount)) == text


def test_the_list_is_downloaded_as_it_is_filtered(operator: Client) -> None:
    _record()
    _record(provider="gemini", model="=HYPERLINK(1)")
    response = operator.get(f"{CALLS}csv/?provider=gemini")
    (row,) = csv.DictReader(io.StringIO(response.content.decode()))
    assert (row["provider"], row["model"], row["cost"], row["prompt_tokens"]) == (
        "gemini",
        "'=HYPERLINK(1)",
        "",
        "1000",
    )
    assert response["Content-Disposition"].startswith("attachment;")


def test_calls_of_unknown_cost_are_priced_on_request(operator: Client) -> None:
    _record(provider="gemini", model="new")
    Price.objects.create(
        provider="gemini", valid_from=timezone.now() - timedelta(days=1), prompt_usd=1, completion_usd=1
    )
    chosen = [str(pk) for pk in Call.objects.values_list("pk", flat=True)]
    page = operator.post(CALLS, {"action": "price_calls", "_selected_action": chosen}, follow=True)
    assert "1 call of unknown cost was priced." in page.content.decode()
    assert Call.objects.get().cost == Decimal("0.0011")


def test_nobody_adds_changes_or_deletes_a_call(operator: Client) -> None:
    _record()
    address = f"{CALLS}{Call.objects.get().pk}"
    assert operator.get(f"{address}/change/").status_code == 200
    assert operator.post(f"{address}/change/", {"outcome": "x"}).status_code == 403
    assert operator.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get(f"{CALLS}add/").status_code == 403


def test_who_may_only_look_may_price_nothing_and_who_may_not_sees_nothing() -> None:
    _record(provider="gemini")
    looker = operator_of("llm", "view_call")
    assert "price_calls" not in looker.get(CALLS).content.decode()
    assert looker.get(PRICES).status_code == 403
    User.objects.all().delete()
    stranger = operator_of(
        "llm",
    )
    assert {stranger.get(address).status_code for address in (CALLS, f"{CALLS}csv/", PRICES)} == {403}


def _form(**values: str) -> dict[str, str]:
    form = {
        "provider": "openai",
        "model": "gpt-4o",
        "valid_from_0": "2026-01-01",
        "valid_from_1": "00:00:00",
        "prompt_usd": "2.5",
        "completion_usd": "10",
        "note": "",
    }
    return {**form, **values}


def test_prices_are_added_and_corrected_until_they_are_applied(operator: Client, price: Price) -> None:
    assert operator.post(f"{PRICES}add/", _form()).status_code == 302
    added = Price.objects.get(model="gpt-4o")
    assert operator.post(f"{PRICES}{added.pk}/change/", _form(prompt_usd="3")).status_code == 302
    added.refresh_from_db()
    assert added.prompt_usd == 3
    _record()
    assert price.applied
    page = operator.get(f"{PRICES}{price.pk}/change/").content.decode()
    assert "add a new version" in page
    assert 'name="_save"' not in page
    assert operator.post(f"{PRICES}{price.pk}/change/", _form(model="gpt-4o-mini")).status_code == 403
    assert operator.post(f"{PRICES}{price.pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get(PRICES).status_code == 200


def test_a_price_for_a_provider_that_does_not_exist_is_refused(operator: Client) -> None:
    assert operator.post(f"{PRICES}add/", _form(provider="opnai")).status_code == 200
    assert operator.post(f"{PRICES}add/", _form(prompt_usd="-1")).status_code == 200
    assert Price.objects.count() == 1
