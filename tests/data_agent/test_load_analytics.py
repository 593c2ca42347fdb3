import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from data_agent import demo_data
from data_agent.demo_catalogue import CATEGORIES, COUNTRIES
from data_agent.demo_data import DemoData
from data_agent.models import PLANS, STATUSES, AnalyticsProductSpec, AnalyticsPurchase, AnalyticsUser


@pytest.fixture(scope="module")
def data() -> DemoData:
    return demo_data.generate()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    first = demo_data.generate(3, users=300, purchases=3_000)
    assert demo_data.generate(3, users=300, purchases=3_000) == first
    assert demo_data.generate(4, users=300, purchases=3_000) != first


def test_there_are_as_many_rows_as_a_small_shop_has(data: DemoData) -> None:
    assert (len(data.users), len(data.purchases), len(data.products)) == (3_000, 40_000, 150)
    assert {user.country for user in data.users} == set(COUNTRIES)
    assert {user.plan for user in data.users} == set(PLANS)
    assert {purchase.status for purchase in data.purchases} == set(STATUSES)
    assert len({product.name for product in data.products}) == 150
    assert len({user.email for user in data.users}) == 3_000
    assert all(user.email.isascii() and ".example" not in user.email for user in data.users)
    assert {user.email.partition("@")[2] for user in data.users} == {"example.com", "example.net", "example.org"}


def test_nobody_buys_before_signing_up_and_nothing_is_sold_before_its_release(data: DemoData) -> None:
    users = {user.id: user for user in data.users}
    products = {product.name: product for product in data.products}
    for purchase in data.purchases:
        assert purchase.purchased_at > users[purchase.user_id].signed_up_at
        assert purchase.purchased_at.date() >= products[purchase.product_name].release_date


def test_amounts_are_right_and_near_the_list_price(data: DemoData) -> None:
    prices = {product.name: product.price for product in data.products}
    for purchase in data.purchases:
        assert purchase.total_amount == purchase.quantity * purchase.unit_price
        assert Decimal("0.8") < purchase.unit_price / prices[purchase.product_name] < Decimal("1.25")


def test_the_shop_grows_and_sells_more_before_the_holidays_and_at_weekends(data: DemoData) -> None:
    years = Counter(
        (purchase.purchased_at - datetime(2023, 11, 1, tzinfo=UTC)).days // 365 for purchase in data.purchases
    )
    assert years[0] * 1.2 < years[1] < years[2] / 1.2
    months = Counter((purchase.purchased_at.year, purchase.purchased_at.month) for purchase in data.purchases)
    assert months[2024, 12] > 1.2 * months[2024, 10]
    assert months[2025, 2] < months[2024, 12]
    weekdays = Counter(purchase.purchased_at.weekday() for purchase in data.purchases)
    assert weekdays[5] > weekdays[1]


def test_only_recent_purchases_are_pending_and_all_end_at_the_last_day(data: DemoData) -> None:
    pending = [purchase.purchased_at.date() for purchase in data.purchases if purchase.status == "pending"]
    assert (demo_data.LAST_DAY - min(pending)).days < 10
    assert max(purchase.purchased_at for purchase in data.purchases).date() == demo_data.LAST_DAY
    assert min(purchase.purchased_at for purchase in data.purchases).date() == demo_data.FIRST_DAY


def test_specs_fit_the_category(data: DemoData) -> None:
    known = {category.name: set(category.specs) for category in CATEGORIES}
    for product in data.products:
        assert set(json.loads(product.specs)) <= known[product.category]
        assert 1 <= product.rating <= 5


@pytest.mark.django_db(transaction=True)
def test_the_command_loads_once_and_replaces_only_when_told() -> None:
    said = StringIO()
    call_command("load_analytics", stdout=said)
    assert said.getvalue().startswith("Loaded 3,000 customers, 150 products and 40,000 purchases in ")
    first = AnalyticsUser.objects.get(pk=1)
    assert (AnalyticsPurchase.objects.count(), AnalyticsProductSpec.objects.count()) == (40_000, 150)

    with pytest.raises(CommandError, match="There is analytics data already"):
        call_command("load_analytics")
    quiet = StringIO()
    call_command("load_analytics", if_empty=True, seed=99, stdout=quiet)
    assert quiet.getvalue() == "There is analytics data already; nothing was loaded.\n"
    assert AnalyticsUser.objects.get(pk=1) == first

    call_command("load_analytics", replace=True, seed=99, stdout=StringIO())
    assert AnalyticsUser.objects.get(pk=1).name != first.name or AnalyticsUser.objects.count() == 3_000
    # The sequence goes on after the last row.
    assert (
        AnalyticsUser.objects.create(
            name="New", email="new@example.com", country="Japan", plan="free", signed_up_at=first.signed_up_at
        ).pk
        == 3_001
    )
