"""What docs/ and the READMEs name is there: pages, headings, files, commands, settings, addresses, topics, metrics."""

import argparse
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, get_resolver

from config.env import BASE_DIR, Environment
from data_agent.routing import websocket_urlpatterns as agent_sockets
from kafka_chat import topics
from kafka_chat.answering import Answering
from kafka_chat.categorising import Categorising
from kafka_chat.persisting import Persisting
from tests import documentation
from tests.config.exported import exported
from ws_chat.routing import websocket_urlpatterns as chat_sockets

DOCS = BASE_DIR / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *BASE_DIR.glob("*/README.md"), BASE_DIR / "README.md", BASE_DIR / "CONTRIBUTING.md"]
)
# Not ours to have: what is made while the system runs, what a reader puts there, and what is inside containers.
_MADE = {
    ".env",
    "up.env",
    "up.json",
    "load.md",
    "load.json",
    "memory.svg",
    "cpu.svg",
    "result.json",
    "page.html",
    "secrets",
}
_ELSEWHERE = ("/run/", "/etc/", "/path", "/models/my-model.gguf")
# Names in capitals that are no settings: of Make, of the containers, of PostgreSQL's and Kafka's own.
_OTHER_NAMES = {"NAME_FILE", "ENV_FILE", "PUBLISH", "SKIP_LOCKED"}
_ROUTES = tuple(pattern for sockets in (chat_sockets, agent_sockets) for pattern in sockets)
_SOURCES = (".py", ".json", ".jsonl", ".md", ".yml", ".toml", ".html", ".js", ".css", ".xml")
_GROUPS = {role.group for role in (Answering, Persisting, Categorising)}
# The how-to page's example of one more.
_EXAMPLE = "chatbot-translate"
_ID = "0190f000-0000-7000-8000-000000000000"


class Page(NamedTuple):
    """A page: its text, what stands in it as code (spans and lines of blocks), and where it is."""

    path: Path
    text: str
    prose: str
    code: list[str]


@cache
def _read(path: Path) -> Page:
    text = path.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.S | re.M)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M)
    lines = [line.strip() for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    return Page(path, text, prose, [*re.findall(r"`([^`\n]+)`", prose), *lines])


@cache
def _files() -> tuple[Path, ...]:
    """Return all files of the repository, from its folder."""
    hidden = {".git", ".venv", ".cache", ".data", "staticfiles", "__pycache__"}
    found: list[Path] = []
    folders = [BASE_DIR]
    while folders:
        for entry in folders.pop().iterdir():
            if entry.name not in hidden and not entry.is_symlink():
                folders.append(entry) if entry.is_dir() else found.append(entry.relative_to(BASE_DIR))
    return tuple(found)


def _slugs(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _read(path).prose, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


each_page = pytest.mark.parametrize(
    "page", [_read(path) for path in PAGES], ids=[str(path.relative_to(BASE_DIR)) for path in PAGES]
)


@each_page
def test_links_lead_to_files_and_headings(page: Page) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.prose):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.path.parent / name).resolve() if name else page.path
        assert file.exists(), target
        assert not anchor or anchor in _slugs(file), target


@each_page
def test_files_exist(page: Page) -> None:
    for span in page.code:
        for name in re.findall(r"(?<![\w./<{$:-])[\w.-]+(?:/[\w.-]+)*/?(?![\w/<{*])", span):
            if _is_file(name):
                assert _exists(name, page.path.parent), f"{name} in `{span}`"


def _is_file(name: str) -> bool:
    """Whether it can only be a file or a folder of ours: it ends like one, or begins in the repository's folder."""
    if Path(name).name in _MADE or name.startswith((".", "-")):
        return False
    top = {path.parts[0] for path in _files() if len(path.parts) > 1}
    return name.endswith(_SOURCES) or ("/" in name and name.split("/")[0] in top)


def _exists(name: str, beside: Path) -> bool:
    if (BASE_DIR / name).exists() or (beside / name).exists():
        return True
    # A table of modules names them without their folder.
    wanted = Path(name).parts
    return any(path.parts[-len(wanted) :] == wanted for path in _files())


@each_page
def test_tests_that_are_named_exist(page: Page) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.text):
        assert re.search(rf"^\s*(async )?def {name}\(", (BASE_DIR / path).read_text(), re.M), f"{path}::{name}"


@each_page
def test_make_has_these_targets(page: Page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (BASE_DIR / "Makefile").read_text(), re.M))
    for span in page.code:
        for target in re.findall(r"^make ([a-z][a-z-]*)", span):
            assert target in targets, span


@each_page
def test_commands_and_their_options_exist(page: Page) -> None:
    for span in page.code:
        found = re.search(r"(?:manage\.py |\b)(kafka_worker|kafka_replay|(?<=manage\.py )[a-z_]+)\b(.*)", span)
        if found is None or span.startswith("make "):
            continue
        name, rest = found.groups()
        assert name in get_commands(), span
        options = _options(name)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition("#")[0]):
            assert option in options, f"{name} {option}"


@cache
def _options(command: str) -> frozenset[str]:
    module = get_commands()[command]
    made = load_command_class(module, command) if isinstance(module, str) else module
    parser: argparse.ArgumentParser = made.create_parser("manage.py", command)
    return frozenset(option for action in parser._actions for option in action.option_strings)


@each_page
def test_modules_that_are_run_exist(page: Page) -> None:
    for span in page.code:
        for module in re.findall(r"python3? -m ([\w.]+)", span):
            assert importlib.util.find_spec(module) is not None, span


@each_page
def test_settings_exist(page: Page) -> None:
    settings = {name.upper() for name in Environment.model_fields}
    settings |= {f"{name}_FILE" for name in settings} | _OTHER_NAMES
    for span in page.code:
        # Where one is set, or one stands alone; SQL and names of other programs are neither.
        named = re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]{2,})=", span) if not span.startswith("make ") else []
        named += re.findall(r"^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)$", span)
        assert set(named) <= settings | {"JOBS", "ARGS"}, span


@each_page
def test_addresses_exist(page: Page) -> None:
    for span in page.code:
        for address in re.findall(r"(?:^|(?:GET|POST) |http://127\.0\.0\.1:8000)(/[^\s`]*)", span):
            path = re.sub(r"<[^>]+>|\{[^}]+\}|\bID\b", _ID, address.partition("?")[0])
            if not address.startswith(_ELSEWHERE) and path != "/":
                assert _resolves(path), address


def _resolves(path: str) -> bool:
    routes: list[Any] = list(_ROUTES)
    if any(route.resolve(path.removeprefix("/")) for route in routes):
        return True
    try:
        get_resolver().resolve(path)
    except Resolver404:
        return False
    return True


@each_page
def test_topics_groups_and_metrics_exist(page: Page) -> None:
    metrics = {series for each in exported() for series in (each.name, *each.series)}
    assert set(re.findall(r"\btriptych_(?!analyst|owner)[a-z_]+\b", page.text)) <= metrics
    known = {*topics.ALL, *_GROUPS, _EXAMPLE}
    assert set(re.findall(r"\bchatbot-[a-z]+(?:-[a-z]+)*", page.text)) <= known


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+)", _read(DOCS / "README.md").text)}
    assert {path for path in DOCS.rglob("*.md") if path.name != "README.md"} <= linked


@pytest.mark.parametrize("name", ["settings", "commands"])
def test_the_reference_is_as_it_would_be_written_now(name: str) -> None:
    written = {"settings": documentation.settings_page, "commands": documentation.commands_page}[name]()
    assert (documentation.REFERENCE / f"{name}.md").read_text() == written, "make docs writes it anew"
    assert all(f"`{setting.upper()}`" in written for setting in Environment.model_fields) or name != "settings"
