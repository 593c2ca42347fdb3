"""What a call costs, by the version of the price table that was valid when it began."""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from llm.models import Call, Price

_MILLION = Decimal(1_000_000)

# What a provider appends to the name of the same model: a date, a revision, "latest". Anything else is another model
# with another price: gpt-4o-mini is not gpt-4o, gemini-1.5-flash-8b is not gemini-1.5-flash.
_VERSION = re.compile(r"[-@:](?:\d+(?:-\d+)*|latest)")


class PriceTable:
    """The price table as it was when it was read."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._prices = sorted(prices, key=lambda price: (len(price.model), price.valid_from), reverse=True)

    @classmethod
    def load(cls) -> "PriceTable":
        """Read the table; one query. Until the transaction ends nobody can delete a price of it."""
        return cls(Price.objects.raw("SELECT * FROM llm_price FOR KEY SHARE"))

    def find(self, provider: str, model: str, moment: datetime) -> Price | None:
        """Return the version for a model at a moment, None where no price is known.

        The longest name that fits counts, and of that the newest version.
        """
        for price in self._prices:
            if price.provider == provider and price.valid_from <= moment and is_meant(price, model):
                return price
        return None


def is_meant(price: Price, model: str) -> bool:
    """Return whether a price is meant for a model of its provider."""
    model = model.removeprefix("models/")
    if not price.model or price.model == model:
        return True
    return model.startswith(price.model) and _VERSION.fullmatch(model, len(price.model)) is not None


def cost(price: Price, prompt_tokens: int, completion_tokens: int) -> Decimal:
    """Return what so many tokens cost, in USD. Exact: twelve decimal places."""
    return (prompt_tokens * price.prompt_usd + completion_tokens * price.completion_usd) / _MILLION


def price_unpriced(calls: QuerySet[Call]) -> int:
    """Price those of the calls whose cost is unknown, where the table knows a price; return how many those were."""
    priced = []
    with transaction.atomic():
        table = PriceTable.load()
        for call in calls.filter(price=None):
            call.price = table.find(call.provider, call.model, call.started_at)
            if call.price is not None:
                call.cost = cost(call.price, call.prompt_tokens, call.completion_tokens)
                priced.append(call)
        return Call.objects.bulk_update(priced, ["price", "cost"], batch_size=1000)
