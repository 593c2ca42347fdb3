"""A timeline's table, as tests read it."""

import re

from playwright.sync_api import Locator

# How pages write one.
DURATION = r"[\d.]+ m?s"


def row(figure: Locator, name: str) -> Locator:
    """Return the row of this name."""
    return figure.get_by_role("row").filter(has=figure.page.get_by_role("rowheader", name=name, exact=True))


def milliseconds(text: str) -> float:
    """Return a duration as pages write it."""
    found = re.fullmatch(r"([\d.]+) (m?)s", text)
    assert found is not None, text
    return float(found[1]) * (1 if found[2] else 1000)
