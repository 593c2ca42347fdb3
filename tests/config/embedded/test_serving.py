"""Which file serves chats and SQL depends on what is there, whether it is right, and memory."""

import hashlib
import os
from pathlib import Path

import pytest

from config.embedded import model, recipes, serving
from config.embedded.recipes import Recipe
from tests.config.embedded.test_gguf import WHOLE

SMALL = model.installed_model()
PLENTY = 64 * serving.GIB


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Let the better model be a small file."""
    made = Recipe("better-Q4_K_M.gguf", len(WHOLE), hashlib.sha256(WHOLE).hexdigest(), tmp_path / "unused")
    monkeypatch.setattr(serving, "CODER", made)
    return made


@pytest.fixture
def coder(recipe: Recipe, tmp_path: Path) -> Path:
    """Return the better model's file, which is there."""
    file = recipes.models_folder(tmp_path) / recipe.file_name
    file.parent.mkdir()
    file.write_bytes(WHOLE)
    return file


def test_small_model_serves_all_where_there_is_no_other(recipe: Recipe, tmp_path: Path) -> None:
    assert serving.plan(tmp_path, None, PLENTY) == serving.Plan(SMALL, SMALL)


def test_better_model_serves_all_where_there_is_memory(coder: Path, tmp_path: Path) -> None:
    for room in (PLENTY, len(WHOLE) + serving.CHAT_ROOM):
        assert serving.plan(tmp_path, None, room) == serving.Plan(coder, coder, SMALL)


def test_better_model_writes_sql_only_with_less_memory_and_that_is_said(coder: Path, tmp_path: Path) -> None:
    for room in (len(WHOLE) + serving.CHAT_ROOM - 1, len(WHOLE) + serving.SQL_ROOM):
        plan = serving.plan(tmp_path, None, room)
        assert (plan.chat, plan.sql, plan.instead) == (SMALL, coder, SMALL)
        assert plan.remarks[0].startswith("better writes SQL only")


def test_small_model_serves_all_with_little_memory_and_that_is_said(coder: Path, tmp_path: Path) -> None:
    plan = serving.plan(tmp_path, None, len(WHOLE) + serving.SQL_ROOM - 1)
    assert (plan.chat, plan.sql) == (SMALL, SMALL)
    assert plan.remarks == ("better is not used: 1.5 GiB of memory are available, and it wants 1.5.",)


@pytest.mark.parametrize("content", [WHOLE[:-1], WHOLE[:-1] + b"?"], ids=["truncated", "damaged"])
def test_better_model_that_is_broken_is_refused(coder: Path, tmp_path: Path, content: bytes) -> None:
    serving.plan(tmp_path, None, PLENTY)
    coder.write_bytes(content)
    os.utime(coder, (1, 1))
    plan = serving.plan(tmp_path, None, PLENTY)
    assert (plan.chat, plan.sql) == (SMALL, SMALL)
    (remark,) = plan.remarks
    assert remark.startswith(f"{coder} is not used: ")
    assert remark.endswith(" Run `make model` to replace it. The small model is used instead.")


def test_model_that_was_found_right_is_not_read_again(coder: Path, tmp_path: Path) -> None:
    serving.plan(tmp_path, None, PLENTY)
    seen = coder.stat()
    coder.write_bytes(bytes(len(WHOLE)))
    os.utime(coder, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert serving.plan(tmp_path, None, PLENTY).sql == coder


def test_chosen_file_serves_all_and_needs_no_permission_of_ours(coder: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.gguf"
    chosen.write_bytes(WHOLE)
    assert serving.plan(tmp_path, chosen, 0) == serving.Plan(chosen, chosen, SMALL)


def test_chosen_file_that_is_broken_is_refused(coder: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "mine.gguf"
    chosen.write_bytes(b"not a model")
    plan = serving.plan(tmp_path, chosen, PLENTY)
    assert plan == serving.Plan(SMALL, SMALL, remarks=(f"{chosen} is no GGUF file. The small model is used instead.",))
