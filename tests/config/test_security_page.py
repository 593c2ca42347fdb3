"""docs/security.md names only what there is."""

import ast
import re

import pytest
from django.core.management import get_commands

from config.env import BASE_DIR, Environment

TEXT = (BASE_DIR / "docs" / "security.md").read_text()
THREATS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.partition("## Threats and defences")[2].partition("\n## ")[0].splitlines()
    if line.startswith("|") and not line.startswith("|---")
]


def test_every_threat_has_an_asset_an_entry_a_defence_and_a_test() -> None:
    head, *rows = THREATS
    assert head == ["asset", "entry", "what could happen", "defence", "test"]
    assert len(rows) > 30
    for row in rows:
        assert len(row) == 5
        assert all(row), row


@pytest.mark.parametrize("row", THREATS[1:], ids=lambda row: f"{row[0]}: {row[1]}")
def test_the_tests_of_a_threat_exist(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[-1])
    assert len(named) == row[-1].count("`") / 2 > 0
    for path, name in named:
        tree = ast.parse((BASE_DIR / path).read_text())
        functions = ast.FunctionDef, ast.AsyncFunctionDef
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}, f"{path}::{name}"


def test_settings_and_commands_exist() -> None:
    settings = {name.upper() for name in Environment.model_fields}
    named = set(re.findall(r"^([A-Z_]+)=", TEXT, re.M)) | set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", TEXT))
    assert {name.removesuffix("_FILE") for name in named} - {"NAME"} <= settings
    assert set(re.findall(r"manage\.py (\w+)", TEXT)) <= set(get_commands())
