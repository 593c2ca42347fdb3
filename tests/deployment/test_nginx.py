"""nginx, three web servers and two workers: everything comes through as if there were one process."""

import asyncio
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from websockets.exceptions import ConnectionClosed

from config.env import BASE_DIR
from tests.deployment.nginx import PROGRAM, Nginx, nginx
from tests.deployment.separation import OWNER, separate
from tests.kafka_chat.events import ServerEvent, read
from tests.servers import ON_APACHE_KAFKA, Servers, process_environment
from tests.ws_chat.web import Page, Web, settings_here

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="NOT TESTED behind nginx: it is not installed")

SLOW = "scene:slow please"
WHOLE = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a deployment with servers of its own, which are prepared; two workers run.

    A broker, too: on another test's, its messages would be dead letters here, and too many of them stop a worker.
    """
    folder = tmp_path_factory.mktemp("deployed")
    servers = Servers("postgres", "valkey") if ON_APACHE_KAFKA else Servers("postgres", "kafka", "valkey")
    addresses = separate(servers, folder)
    settings = settings_here() | servers.settings | {"TRUSTED_PROXIES": "1", "LLM_BUDGET_ADDRESS": "1000/minute"}
    settings |= {"DATABASE_URL": addresses.application, "ANALYTICS_DATABASE_URL": addresses.analytics}
    environment = process_environment(settings | {"ENV_FILE": "/dev/null"})
    manage = (sys.executable, "manage.py")
    prepare = [*manage, "prepare", "--without-static-files", "--without-demo-data"]
    owners = environment | {"DATABASE_URL": addresses.owner}
    subprocess.run(prepare, cwd=BASE_DIR, env=owners, check=True, capture_output=True, timeout=100)
    with (folder / "workers.log").open("ab") as log:
        command = [*manage, "kafka_worker"]
        workers = [
            subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdout=log, stderr=subprocess.STDOUT)
            for _ in range(2)
        ]
    yield settings
    for worker in workers:
        worker.terminate()
    ends = [worker.wait(timeout=30) for worker in workers]
    servers.stop()
    # Shown when the last test fails, which asks them something.
    print((folder / "workers.log").read_text())
    assert ends == [0, 0]


@pytest.fixture(scope="module")
def webs(deployed: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Web]]:
    """Three web servers, which start together."""
    folder = tmp_path_factory.mktemp("webs")
    servers = [Web(folder / f"{number}.log", _name_of(deployed), **deployed) for number in range(3)]
    try:
        yield [server.wait_until_ready() for server in servers]
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait(timeout=10)


@pytest.fixture
def proxy(webs: list[Web], tmp_path: Path) -> Iterator[Nginx]:
    """nginx in front of those."""
    with nginx(tmp_path, [server.port for server in webs]) as running:
        yield running


@pytest.fixture
async def client(proxy: Nginx) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor without a browser."""
    async with httpx.AsyncClient(base_url=proxy.url, timeout=60) as client:
        await client.get("/about/")
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        yield client


def _name_of(settings: dict[str, str]) -> str:
    return settings["DATABASE_URL"].rpartition("/")[2]


async def _ask(client: httpx.AsyncClient, message: str) -> Any:
    response = await client.post("/api/chat/", json={"message": message})
    assert response.status_code == 202
    return response.json()


async def test_a_page_that_comes_back_goes_on_at_another_process(proxy: Nginx) -> None:
    visitor = uuid.uuid4()
    async with Page(proxy.port, visitor) as first:
        await first.ask(SLOW)
        await first.read(3)
    async with Page(proxy.port, visitor) as second:
        await second.resume(first)
        await second.read()
    assert second.text == WHOLE
    async with asyncio.timeout(10):
        while len(sockets := proxy.requests("/ws/chat/")) < 2:
            await asyncio.sleep(0.05)
    assert [socket["status"] for socket in sockets] == [101, 101]
    assert sockets[0]["upstream"] != sockets[1]["upstream"]


async def test_events_go_on_as_they_come(proxy: Nginx, client: httpx.AsyncClient) -> None:
    asked = await _ask(client, SLOW)
    async with client.stream("GET", asked["events_url"], headers={"Accept-Encoding": "gzip"}) as response:
        assert "Content-Encoding" not in response.headers
        events = read(response.aiter_raw())
        assert await anext(events) == ServerEvent("delta", {"text": "one ", "restart": False}, "1")
        assert (await client.get(asked["poll_url"])).json()["status"] == "generating"
        rest = [event async for event in events]
    assert [event.name for event in rest] == ["delta"] * 9 + ["end"]
    assert rest[-1].data["response"] == WHOLE


async def test_held_polls_are_answered_on_whatever_process_they_are_held(
    proxy: Nginx, client: httpx.AsyncClient
) -> None:
    asked = await _ask(client, SLOW)
    before = len(proxy.requests("/api/check-answer/"))
    polls = [client.get(f"{asked['poll_url']}&wait=25") for _ in range(6)]
    states = [response.json() for response in await asyncio.gather(*polls)]
    assert {(state["status"], state["response"]) for state in states} == {("answered", WHOLE)}
    assert (
        len({request["upstream"] for request in (await proxy.logged("/api/check-answer/", before + 6))[before:]}) == 3
    )


async def test_a_body_that_is_too_large_goes_no_further(proxy: Nginx, client: httpx.AsyncClient) -> None:
    for size, status, reached in ((64 * 1024, 400, True), (64 * 1024 + 1, 413, False)):
        before = len(proxy.requests("/api/chat/"))
        refused = await client.post("/api/chat/", content=b"x" * size, headers={"Content-Type": "application/json"})
        assert refused.status_code == status
        assert bool((await proxy.logged("/api/chat/", before + 1))[-1]["upstream"]) is reached


async def test_the_application_sees_the_client_and_not_what_it_writes(proxy: Nginx, deployed: dict[str, str]) -> None:
    here, claimed = "127.0.0.7", "203.0.113.9"
    transport = httpx.AsyncHTTPTransport(local_address=here)
    async with httpx.AsyncClient(base_url=proxy.url, transport=transport, timeout=60) as client:
        client.headers.update({"X-Forwarded-For": claimed, "X-Request-ID": "named-by-a-client"})
        page = await client.get("/about/")
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        await _ask(client, "Who am I?")
    assert page.headers["X-Request-ID"] in {line["request_id"] for line in await proxy.logged("/about/", 1)}
    with redis.Redis.from_url(deployed["REDIS_URL"], decode_responses=True) as store:
        # What an address has asked is counted under it.
        assert list(store.scan_iter(f"*address:{here}*"))
        assert not list(store.scan_iter(f"*{claimed}*"))


async def test_static_files_are_compressed_kept_for_ever_and_asked_for_once(
    proxy: Nginx, client: httpx.AsyncClient
) -> None:
    page = (await client.get("/about/")).text
    found = re.search(r'"(/static/[^"]+\.[0-9a-f]{12}\.css)"', page)
    assert found is not None
    for encoding in ("gzip", "identity", "gzip"):
        response = await client.get(found[1], headers={"Accept-Encoding": encoding})
        assert response.headers.get("Content-Encoding", "identity") == encoding
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Content-Type"].startswith("text/css")
    assert [request["cache"] for request in await proxy.logged(found[1], 3)] == ["MISS", "MISS", "HIT"]
    assert "immutable" not in (await client.get("/about/")).headers.get("Cache-Control", "")


async def test_metrics_are_nobodys_outside(proxy: Nginx, client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 404
    assert (await proxy.logged("/metrics", 1))[0]["upstream"] == ""


def test_who_serves_may_work_with_the_rows_but_owns_nothing_and_cannot_cut_the_log(deployed: dict[str, str]) -> None:
    with psycopg.connect(deployed["DATABASE_URL"], autocommit=True) as served:
        rights = {
            table: (reads, adds, changes)
            for table, reads, adds, changes in served.execute(
                "SELECT relname, has_table_privilege(oid, 'SELECT'), has_table_privilege(oid, 'INSERT'),"
                " has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')"
                " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        }
        assert {name for name, allowed in rights.items() if allowed != (True, True, True)} == {
            "da_audit_event",
            "da_audit_checkpoint",
        }
        assert rights["da_audit_event"] == rights["da_audit_checkpoint"] == (True, True, False)
        assert len(rights) > 20
        for statement in (
            "DELETE FROM da_audit_event",
            "TRUNCATE da_audit_event",
            "ALTER TABLE da_audit_event DISABLE TRIGGER ALL",
            "CREATE TABLE x ()",
            "CREATE ROLE x",
            f"SET ROLE {OWNER}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                served.execute(statement)


# The last one: there are two web servers afterwards.
async def test_a_web_server_that_is_killed_cuts_a_third_of_the_pages_which_go_on_elsewhere(
    proxy: Nginx, client: httpx.AsyncClient, webs: list[Web]
) -> None:
    visitors = [uuid.uuid4() for _ in range(3)]
    pages = [Page(proxy.port, visitor) for visitor in visitors]
    async with pages[0], pages[1], pages[2]:
        for page in pages:
            await page.ask(SLOW)
            await page.read(2)
        webs[0].process.kill()
        ends = await asyncio.gather(*(page.read() for page in pages), return_exceptions=True)
    cut = [isinstance(end, ConnectionClosed) for end in ends]
    assert sorted(cut) == [False, False, True]
    assert [page.text for page, was_cut in zip(pages, cut, strict=True) if not was_cut] == [WHOLE, WHOLE]
    left = pages[cut.index(True)]
    async with Page(proxy.port, visitors[cut.index(True)]) as again:
        await again.send("resume", run=left.run, after=0)
        await again.started()
        await again.read(seconds=60)
    assert again.end is not None
    assert again.end["outcome"] == "interrupted"
    # Nothing that was shown is lost, and nothing comes twice.
    assert WHOLE.startswith(again.end["text"])
    assert again.end["text"].startswith("one two ")
    statuses = {(await client.get("/about/")).status_code for _ in range(12)}
    assert statuses == {200}
    asked = await _ask(client, "Still there?")
    assert (await client.get(f"{asked['poll_url']}&wait=25")).json()["status"] == "answered"
