"""Queries before and after what is put right in them."""

from collections.abc import Callable
from typing import Any

import postgast


def written(sql: str) -> str:
    """Return a query as the deparser writes it."""
    return postgast.deparse(postgast.parse(sql))


def rewritten(sql: str, rewrite: Callable[[Any], list[str]]) -> tuple[str, list[str]]:
    """Return what becomes of a query, and what is said of it."""
    tree = postgast.parse(sql)
    notes = rewrite(tree)
    return postgast.deparse(tree), notes
