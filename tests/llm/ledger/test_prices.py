"""What a call costs."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from llm.ledger import prices
from llm.ledger.calls import Ledger
from llm.models import Call, Price
from tests.llm.ledger.rows import NOON, call

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def _price(model: str, valid_from: datetime = LONG_AGO, *, prompt: str = "1", completion: str = "2") -> Price:
    return Price.objects.create(
        provider="openai", model=model, valid_from=valid_from, prompt_usd=prompt, completion_usd=completion
    )


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Whatever tests before these have truncated."""
    Price.objects.all().delete()


def _priced(model: str, *, provider: str = "openai", started_at: datetime = NOON) -> Price | None:
    """Return the version that is applied to such a call."""
    ledger = Ledger(in_background=False)
    ledger.record(call(provider=provider, model=model, started_at=started_at))
    assert ledger.flush() == 1
    return Call.objects.latest("call_id").price


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-latest", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("models/gpt-4o", "gpt-4o"),
        # Other models, whose price nobody has said.
        ("gpt-4o-audio-preview", None),
        ("gpt-4", None),
        ("gpt-4oo", None),
        ("gpt-4o-8b", None),
        ("gpt-4o-1.5", None),
        ("gpt-4o-latest-1", None),
        ("gpt-4o-latest\n", None),
        ("gpt-4%", None),
        ("", None),
    ],
)
def test_the_longest_name_that_fits_counts(model: str, expected: str | None) -> None:
    for name in ("gpt-4o", "gpt-4o-mini", "gpt-4o-2024-05-13"):
        _price(name)
    found = _priced(model)
    assert (found.model if found else None) == expected


def test_a_price_without_a_model_is_for_every_model_that_has_none_of_its_own() -> None:
    _price("")
    own = _price("dear")
    assert _priced("dear") == own
    assert _priced("anything") not in (None, own)
    assert _priced("anything", provider="gemini") is None


def test_a_call_is_priced_with_the_version_that_was_valid_when_it_began() -> None:
    old, new = _price("gpt-4o", NOON - timedelta(days=9)), _price("gpt-4o", NOON)
    assert _priced("gpt-4o", started_at=NOON - timedelta(days=10)) is None
    assert _priced("gpt-4o", started_at=NOON - timedelta(microseconds=1)) == old
    assert _priced("gpt-4o", started_at=NOON) == new


def test_costs_are_exact() -> None:
    _price("gpt-4o", prompt="0.000001", completion="0.0375")
    ledger = Ledger(in_background=False)
    for tokens in ((1, 0), (0, 1), (1_000_000, 2_000_000), (2**31 - 1, 0)):
        ledger.record(call(model="gpt-4o", prompt_tokens=tokens[0], completion_tokens=tokens[1]))
    ledger.flush()
    costs = [f"{row.cost:f}" for row in Call.objects.order_by("call_id")]
    assert costs == ["0.000000000001", "0.000000037500", "0.075001000000", "0.002147483647"]


def test_list_prices_are_there_from_the_start() -> None:
    from importlib import import_module

    from django.apps import apps

    migration = import_module("llm.migrations.0002_list_prices")
    migration.add(apps, None)
    migration.add(apps, None)
    assert Price.objects.count() == len(migration.PRICES)
    for provider, model, prompt, completion in [
        ("openai", "gpt-4o-2024-08-06", "2.50", "10"),
        ("openai", "gpt-4o-mini", "0.15", "0.60"),
        ("gemini", "gemini-2.0-flash-001", "0.10", "0.40"),
        ("local", "SmolLM2", "0", "0"),
        ("ollama", "llama3.2:latest", "0", "0"),
        ("scripted", "script", "0", "0"),
    ]:
        price = _priced(model, provider=provider)
        assert price is not None
        assert (price.prompt_usd, price.completion_usd) == (Decimal(prompt), Decimal(completion))


def test_a_version_that_was_applied_cannot_be_changed_by_anybody() -> None:
    price = _price("gpt-4o")
    price.prompt_usd = Decimal("1.5")
    price.save()
    assert _priced("gpt-4o") == price
    with pytest.raises(IntegrityError, match="add a new version instead"), transaction.atomic():
        Price.objects.update(prompt_usd=3)
    with pytest.raises(ProtectedError):
        price.delete()
    with pytest.raises(IntegrityError, match="add a new version instead"), transaction.atomic():
        Price.objects.filter(pk=price.pk)._raw_delete("default")
    price.refresh_from_db()
    assert price.prompt_usd == Decimal("1.5")


def test_a_version_that_was_not_applied_can_be_deleted() -> None:
    price = _price("gpt-4o")
    price.delete()
    assert not Price.objects.filter(pk=price.pk).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda price: Price.objects.filter(pk=price.pk)._raw_delete("default"),
        lambda price: Price.objects.filter(pk=price.pk).update(prompt_usd=9),
    ],
    ids=["deleted", "changed"],
)
def test_a_version_that_is_being_applied_cannot_be_deleted_or_changed_meanwhile(
    change: Callable[[Price], object],
) -> None:
    price = _price("gpt-4o")
    refused: list[Exception] = []

    def try_to_change() -> None:
        try:
            change(price)
        except Exception as error:
            refused.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        assert _priced("gpt-4o") == price
        changing = threading.Thread(target=try_to_change)
        changing.start()
        with connection.cursor() as cursor:
            for _ in range(500):
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0] or not changing.is_alive():
                    break
                time.sleep(0.01)
    changing.join()
    assert [type(error) for error in refused] == [IntegrityError]


def test_there_is_one_version_for_a_moment_and_none_below_zero() -> None:
    _price("gpt-4o")
    with pytest.raises(ValidationError, match="from this moment on already"):
        Price(provider="openai", model="gpt-4o", valid_from=LONG_AGO, prompt_usd=1, completion_usd=1).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        _price("x", prompt="-1")


def test_calls_of_unknown_cost_are_priced_later_and_no_others() -> None:
    ledger = Ledger(in_background=False)
    old = _price("gpt-4o", prompt="1", completion="0")
    ledger.record(call(model="gpt-4o"))
    ledger.record(call(model="new-model"))
    ledger.record(call(model="other-model"))
    ledger.flush()
    _price("gpt-4o", NOON - timedelta(days=1), prompt="9")
    new = _price("new-model", prompt="2", completion="30")
    assert prices.price_unpriced(Call.objects.all()) == 1
    assert {row.model: (row.price, row.cost) for row in Call.objects.all()} == {
        "gpt-4o": (old, Decimal("0.001")),
        "new-model": (new, Decimal("0.005")),
        "other-model": (None, None),
    }
