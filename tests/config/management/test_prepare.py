"""What is done already is not done again."""

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from config.management.commands.prepare import collect_static_files


@pytest.fixture
def source(settings: Settings, tmp_path: Path) -> Path:
    """Return a folder with the site's only static file."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "page.css").write_text("a { color: red }")
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [folder]
    settings.STATIC_ROOT = tmp_path / "staticfiles"
    return folder


def test_static_files_are_collected_once(source: Path) -> None:
    assert collect_static_files() is True
    assert collect_static_files() is False


@pytest.mark.parametrize("change", ["edited", "added", "removed"])
def test_changed_static_files_are_collected_again(source: Path, change: str) -> None:
    (source / "second.css").write_text("b { color: blue }")
    collect_static_files()
    if change == "edited":
        (source / "page.css").write_text("a { color: tan }")
        os.utime(source / "page.css", (1, 1))
    elif change == "added":
        (source / "third.css").write_text("i { color: green }")
    else:
        (source / "second.css").unlink()
    assert collect_static_files() is True


def test_collected_files_have_hashed_names(source: Path, settings: Settings) -> None:
    collect_static_files()
    names = json.loads((settings.STATIC_ROOT / staticfiles_storage.manifest_name).read_text())["paths"]
    assert (settings.STATIC_ROOT / names["page.css"]).read_text() == "a { color: red }"
    assert names["page.css"] != "page.css"


def test_a_data_agent_without_a_proper_role_is_told_of_and_keeps_nothing_else_from_starting(
    transactional_db: None, settings: Settings
) -> None:
    settings.ANALYTICS_DATABASE_URL = f"postgres://{connection.settings_dict['USER']}:x@127.0.0.1:1/x"
    said = StringIO()
    call_command("prepare", without_demo_data=True, stdout=StringIO(), stderr=said)
    assert "The data agent runs no query. ANALYTICS_DATABASE_URL names the application's own role." in said.getvalue()
    assert "data_agent.W003" in said.getvalue()


def test_an_image_keeps_the_static_files_that_it_has(transactional_db: None, source: Path, settings: Settings) -> None:
    settings.ANALYTICS_DATABASE_URL = None
    call_command("prepare", without_demo_data=True, without_static_files=True, stdout=StringIO())
    assert not settings.STATIC_ROOT.exists()
