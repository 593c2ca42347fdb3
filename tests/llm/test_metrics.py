"""What budgets leave in the metrics; what calls leave there is seen where a question takes its whole way."""

import uuid

import pytest
from pytest_django import Settings

from llm.budgets import Asker, BudgetExceeded, Budgets
from llm.limits import Limits
from tests.measured import Since


async def test_refusals_are_counted_by_whom_and_what_they_concern(settings: Settings) -> None:
    settings.LLM_BUDGETS = {"anonymous": Limits(1)}
    since = Since()
    budgets, asker = Budgets(), Asker(session=str(uuid.uuid4()), address="192.0.2.9", tier="anonymous")
    await budgets.reserve(asker, str(uuid.uuid4()), 10)
    assert since.more("triptych_budget_refusals_total") == 0
    with pytest.raises(BudgetExceeded):
        await budgets.reserve(asker, str(uuid.uuid4()), 10)
    assert since.more("triptych_budget_refusals_total", subject="session", window="minute", tier="anonymous") == 1
