"""The test session: real servers, started once on free ports, and settings that lead to them.

All this happens when this module is imported, because conftest modules below it import Django models. Neither the
developer's environment nor a `.env` file counts. The servers end with this process, however it ends.
"""

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import django
import pytest
from asgiref.sync import SyncToAsync
from channels.layers import channel_layers
from django.conf import settings
from django.db import connection
from django.utils import translation
from pytest_django import DjangoDbBlocker

from config.env import BASE_DIR
from tests.handing_out import hands_out
from tests.servers import Servers, all_servers, forget_settings

# Whether this process runs no test itself, but hands them out to others, each of which has servers of its own.
_HANDS_OUT = "PYTEST_XDIST_WORKER" not in os.environ and hands_out(sys.argv[1:])
# The name that Django gives to the test database.
_TEST_DATABASE = "_".join(["/test_triptych", *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])])
# Read where nothing is connected to.
_NO_SERVERS = {
    "DATABASE_URL": "postgres://unused/unused",
    "ANALYTICS_DATABASE_URL": "postgres://unused/unused",
    "KAFKA_BOOTSTRAP_SERVERS": "unused:1",
    "REDIS_URL": "redis://unused",
}

if settings.configured:
    pytest.exit(
        "Unset DJANGO_SETTINGS_MODULE: it makes Django read settings that are not the tests' own.", returncode=4
    )
forget_settings()
SERVERS = [] if _HANDS_OUT else all_servers()
SETTINGS = _NO_SERVERS | {name: value for servers in SERVERS for name, value in servers.settings.items()}
_ENVIRONMENT = dict(os.environ)
os.environ |= SETTINGS | {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "SECRET_KEY": "the tests' secret key, which is long enough and signs nothing of value",
    "ANALYTICS_DATABASE_URL": SETTINGS["ANALYTICS_DATABASE_URL"].rpartition("/")[0] + _TEST_DATABASE,
    "LLM_CHAT": "scripted",
    "LLM_SQL": "scripted",
    "LLM_SCRIPTED_ANSWERS": str(BASE_DIR / "tests" / "scripted_answers.json"),
    # What one test asks, or lets fail, is not in the way of the next.
    "LLM_BUDGET_ANONYMOUS": "1000/minute 10000/hour 1000000000 tokens/day",
    "LLM_BUDGET_ADDRESS": "unlimited",
    "LLM_BREAKER_FAILURES": "100",
}
django.setup()
if _HANDS_OUT:
    from config.management.commands.prepare import collect_static_files

    # Once, and before the others look for them.
    collect_static_files()
    # Those who run the tests say the rest for themselves.
    for _name in os.environ.keys() - _ENVIRONMENT.keys():
        del os.environ[_name]

from config import operations  # noqa: E402
from config.observability import correlation, looking  # noqa: E402
from config.observability.looking import Look  # noqa: E402
from kafka_chat import letter_views, panels  # noqa: E402
from llm import profile, shared_state  # noqa: E402
from llm.ledger import calls  # noqa: E402
from llm.timelines import marks  # noqa: E402

# A busy machine is no Redis that is away. Tests of that make it shorter again.
shared_state.PATIENCE = 5.0

# Tests of timelines flush it.
marks.collector = marks.Collector(in_background=False)

# Its thread would write outside the tests' transactions. Tests of the ledger flush it.
calls.ledger = calls.Ledger(in_background=False)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Stop the servers at the end, and keep temporary folders beside theirs."""
    for servers in SERVERS:
        config.add_cleanup(servers.stop)
    if SERVERS:
        config.add_cleanup(_let_go)
    if config.option.basetemp is None and SERVERS:
        # A second pytest closes the usual place to other accounts, and as root PostgreSQL runs as another account.
        config.option.basetemp = str(SERVERS[0].folder / "tmp")


def _let_go() -> None:
    """Look for no server any more before they stop: what does so in threads would tell a terminal that is closed."""
    profile._told_to_stop.set()
    connection.close_pool()


def pytest_report_header() -> str:
    """Say which servers run."""
    names = [name for servers in SERVERS for name in servers.names]
    return f"servers: {', '.join(names)}, started in {sum(servers.seconds for servers in SERVERS):.1f} s"


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    """Collect the static files, which pages name by their hashes."""
    from config.management.commands.prepare import collect_static_files

    collect_static_files()


@pytest.fixture(scope="session")
def local_model_url() -> Iterator[str]:
    """Return the address of the real local model, which is started for the first test that asks for it."""
    servers = Servers("model")
    yield servers.settings["LLM_LOCAL_URL"]
    servers.stop()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Before the test database is dropped, end the sessions that nobody can close any more.

    An event loop that ends with its test takes its threads' and tasks' connections with it, half made or in use; the
    server notices when the garbage collector has been there, which may be later.
    """
    yield
    gc.collect()
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@pytest.fixture(autouse=True)
def no_ids() -> None:
    """Begin without the ids of an earlier test: Django's test client calls views without the handler that ends them."""
    correlation.forget()


@pytest.fixture(autouse=True)
def in_english() -> None:
    """Begin in the language of the source: Django's test client leaves that of its last request active."""
    translation.deactivate()


@pytest.fixture(autouse=True)
def own_channel_layer() -> None:
    """Begin with a channel layer of its own: a lock stays held that an earlier test's event loop took to its end."""
    channel_layers.backends.clear()


@pytest.fixture
def look_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have operators' pages ask the servers each time, for as long as it takes on a busy machine.

    A look for an earlier test may go on for seconds, at a broker that was away.
    """
    monkeypatch.setattr(operations, "PATIENCE", 20.0)
    monkeypatch.setattr(looking, "PATIENCE", 30.0)
    monkeypatch.setattr(letter_views, "FRESH", 0.0)
    monkeypatch.setattr(panels, "FRESH", 0.0)
    for module, name in ((letter_views, "_newest"), (panels, "_broker")):
        look = getattr(module, name)
        monkeypatch.setattr(module, name, Look(look._name, look._find))


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was moved into a thread."""
    moved: list[str] = []
    call = SyncToAsync.__call__

    async def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        moved.append(getattr(self.func, "__qualname__", "a callable"))
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", noting)
    return moved
