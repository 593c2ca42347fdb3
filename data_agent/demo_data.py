"""Makes the demo data: the same seed gives the same rows, on every machine and on every day.

A shop for electronics over three years that end at a fixed day. It grows; it sells more before the holidays and at
weekends; few customers buy much; companies buy several pieces at a time; nobody buys before signing up, and nothing is
sold before its release.
"""

import bisect
import itertools
import json
import math
import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from data_agent.demo_catalogue import BRANDS, CATEGORIES, COUNTRIES, NAMES, Category

LAST_DAY = date(2026, 10, 31)
DAYS = 3 * 365
FIRST_DAY = LAST_DAY - timedelta(days=DAYS - 1)
DEFAULT_SEED = 7
USERS = 3_000
PURCHASES = 40_000
PRODUCTS_PER_CATEGORY = 15

# From January to December; Monday to Sunday; each hour of the day.
_MONTHS = (0.92, 0.82, 0.92, 0.95, 0.98, 0.94, 0.9, 0.96, 1.02, 1.04, 1.42, 1.5)
_WEEKDAYS = (0.95, 0.92, 0.94, 0.97, 1.08, 1.22, 1.15)
_HOURS = (2, 1, 1, 1, 1, 2, 3, 5, 7, 9, 10, 11, 12, 11, 10, 10, 10, 11, 13, 15, 16, 14, 9, 5)
_GROWTH_PER_YEAR = 1.45
_PLANS = (("free", 0.62, 1.0), ("pro", 0.3, 1.8), ("enterprise", 0.08, 3.2))


@dataclass(frozen=True, slots=True)
class Product:
    """A row of analytics_product_specs, in its order."""

    id: int
    name: str
    category: str
    brand: str
    price: Decimal
    weight_kg: Decimal
    rating: Decimal
    release_date: date
    specs: str


@dataclass(frozen=True, slots=True)
class User:
    """A row of analytics_users, in its order."""

    id: int
    name: str
    email: str
    country: str
    plan: str
    signed_up_at: datetime


@dataclass(frozen=True, slots=True)
class Purchase:
    """A row of analytics_purchases, in its order."""

    id: int
    user_id: int
    product_name: str
    quantity: int
    unit_price: Decimal
    total_amount: Decimal
    purchased_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class DemoData:
    """All rows."""

    products: tuple[Product, ...]
    users: tuple[User, ...]
    purchases: tuple[Purchase, ...]


def generate(seed: int = DEFAULT_SEED, *, users: int = USERS, purchases: int = PURCHASES) -> DemoData:
    """Make the rows."""
    source = random.Random(seed)
    products = tuple(_products(source))
    people = tuple(_users(source, users))
    return DemoData(products, people, tuple(_purchases(source, products, people, purchases)))


def _products(source: random.Random) -> Iterator[Product]:
    ids = itertools.count(1)
    for category in CATEGORIES:
        names = [f"{brand} {series}" for brand in BRANDS for series in category.series]
        for place, name in enumerate(source.sample(names, PRODUCTS_PER_CATEGORY)):
            yield _product(source, next(ids), category, name, place)


def _product(source: random.Random, number: int, category: Category, name: str, place: int) -> Product:
    brand = name.partition(" ")[0]
    # Most products are at the lower end of the range.
    level = source.random() ** 1.7
    low, high = category.prices
    price = _charm(low + (high - low) * level)
    # Some were there before the first day of the data, the others come over the three years.
    released = FIRST_DAY + timedelta(days=source.randint(-700, -30) if place < 7 else source.randint(0, DAYS - 60))
    light, heavy = category.weights
    specs = {key: _spec(source, values, level) for key, values in category.specs.items()}
    return Product(
        id=number,
        name=f"{name} {source.choice(('', 'S', 'X', 'Pro', 'Mini', '2', '3'))}".strip() + f" {category.noun}",
        category=category.name,
        brand=brand,
        price=price,
        weight_kg=_decimal(source.uniform(light, heavy), 3),
        rating=_decimal(min(5.0, max(2.4, source.gauss(4.0 + 0.3 * level, 0.42))), 1),
        release_date=released,
        specs=json.dumps({key: value for key, value in specs.items() if value is not None}),
    )


def _spec(source: random.Random, values: Sequence[object], level: float) -> object:
    """Choose a value: where they are numbers in order, dearer products get the higher ones."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        place = level * (len(values) - 1) + source.gauss(0, 0.6)
        return values[min(len(values) - 1, max(0, round(place)))]
    return source.choice(values)


def _users(source: random.Random, count: int) -> Iterator[User]:
    countries = list(COUNTRIES)
    shares = [COUNTRIES[country][0] for country in countries]
    days = sorted(_signup_day(source) for _ in range(count))
    for number, day in enumerate(days, 1):
        country = source.choices(countries, shares)[0]
        given, family = (source.choice(names) for names in NAMES[COUNTRIES[country][1]])
        plan = source.choices([plan for plan, _, _ in _PLANS], [share for _, share, _ in _PLANS])[0]
        host = source.choice(("example.com", "example.net", "example.org"))
        email = f"{_ascii(given)}.{_ascii(family)}{number}@{host}"
        yield User(number, f"{given} {family}", email, country, plan, _moment(source, day))


def _signup_day(source: random.Random) -> int:
    """Return a day, counted from the first; half a year of sign-ups lies before it."""
    start = -180
    growth = math.log(_GROWTH_PER_YEAR) / 365
    span = DAYS - 8 - start
    # The inverse of the exponential growth's distribution.
    return start + int(math.log1p(source.random() * math.expm1(growth * span)) / growth)


def _purchases(
    source: random.Random, products: Sequence[Product], users: Sequence[User], count: int
) -> Iterator[Purchase]:
    days = sorted(source.choices(range(DAYS), [_day_weight(day) for day in range(DAYS)], k=count))
    demand = {category.name: category.demand for category in CATEGORIES}
    popularity = {product.id: demand[product.category] * source.paretovariate(1.4) for product in products}
    eagerness = {plan: weight for plan, _, weight in _PLANS}
    # Running sums, so that a buyer among those who signed up by a day is one binary search away.
    signups = [user.signed_up_at for user in users]
    buyers = list(itertools.accumulate(eagerness[user.plan] * source.paretovariate(2.2) for user in users))
    number = 0
    for day, same_day in itertools.groupby(days):
        today = FIRST_DAY + timedelta(days=day)
        offered = [product for product in products if product.release_date <= today]
        weights = list(itertools.accumulate(popularity[product.id] for product in offered))
        known = bisect.bisect_left(signups, datetime.combine(today, datetime.min.time(), UTC))
        moments = sorted(_moment(source, day) for _ in same_day)
        for moment in moments:
            number += 1
            buyer = users[bisect.bisect(buyers, source.random() * buyers[known - 1], 0, known - 1)]
            product = source.choices(offered, cum_weights=weights)[0]
            yield _purchase(source, number, buyer, product, moment)


def _purchase(source: random.Random, number: int, user: User, product: Product, moment: datetime) -> Purchase:
    several = {"free": (1, 1, 1, 1, 1, 2), "pro": (1, 1, 1, 1, 2, 3), "enterprise": (1, 2, 3, 5, 8, 12)}
    quantity = source.choice(several[user.plan])
    # Prices fall with a product's age; now and then there is an offer.
    age = (LAST_DAY - moment.date()).days / 365
    factor = 1 + 0.04 * age + source.gauss(0, 0.012) - (0.12 if source.random() < 0.08 else 0)
    price = _decimal(float(product.price) * factor, 2)
    return Purchase(
        id=number,
        user_id=user.id,
        product_name=product.name,
        quantity=quantity,
        unit_price=price,
        total_amount=price * quantity,
        purchased_at=moment,
        status=_status(source, moment),
    )


def _status(source: random.Random, moment: datetime) -> str:
    chance = source.random()
    if (LAST_DAY - moment.date()).days < 10 and chance < 0.35:
        return "pending"
    if chance < 0.9:
        return "completed"
    return "refunded" if chance < 0.955 else "cancelled"


def _day_weight(day: int) -> float:
    today = FIRST_DAY + timedelta(days=day)
    growth = math.exp(math.log(_GROWTH_PER_YEAR) * day / 365)
    return growth * _MONTHS[today.month - 1] * _WEEKDAYS[today.weekday()]


def _moment(source: random.Random, day: int) -> datetime:
    """Return a second of a day, which is counted from the first."""
    midnight = datetime.combine(FIRST_DAY + timedelta(days=day), datetime.min.time(), UTC)
    hour = source.choices(range(24), _HOURS)[0]
    return midnight + timedelta(hours=hour, seconds=source.randrange(3600))


def _charm(price: float) -> Decimal:
    """Return a price as shops like it."""
    if price > 60:
        return Decimal(round(price / 10) * 10) - Decimal("0.01")
    return Decimal(round(price)) + Decimal("0.95")


def _decimal(value: float, places: int) -> Decimal:
    return Decimal(f"{value:.{places}f}")


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.lower().replace(" ", "")
