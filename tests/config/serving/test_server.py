"""Our Daphne, as a process: it is tuned, and its short way for frames brings what the long one brings."""

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect

from config.embedded import stack
from config.embedded.ports import any_free
from config.env import BASE_DIR
from tests.config.serving.served import text_of


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where it serves."""
    port = any_free()
    command = ("-m", "config.serving", "-v", "0", "-p", str(port), "tests.config.serving.served:application")
    server = subprocess.Popen([sys.executable, *command], cwd=BASE_DIR)
    _until_it_serves(port)
    yield port
    server.terminate()
    assert server.wait(timeout=20) in (0, -15)


def _until_it_serves(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return
        time.sleep(0.05)


def test_it_runs_on_uvloop_and_leaves_what_lasts_to_no_garbage_collection(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        facts = json.loads(response.read())
    assert facts["loop"].startswith("uvloop")
    assert facts["garbage"] == 20_000
    assert facts["frozen"] > 1000


def test_it_ends_although_a_request_waits_for_a_server_that_keeps_silent() -> None:
    port = any_free()
    code = (
        "import sys; from config.serving import server; server.APPLICATION_SECONDS, server.END_SECONDS = 0.5, 1.5; "
        f"sys.argv = ['serve', '-v', '0', '-p', '{port}', 'tests.config.serving.served:application']; "
        "server.CommandLine.entrypoint()"
    )
    server = subprocess.Popen([sys.executable, "-c", code], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        _until_it_serves(port)
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            waiting.sendall(b"GET /hangs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert server.stdout.readline() == "hangs\n"
            server.terminate()
            # Without an end of its own it would be there for ever.
            assert server.wait(timeout=30) == 1
    finally:
        server.kill()
        server.stdout.close()


def test_whoever_stops_it_waits_longer_than_it_takes() -> None:
    code = "from config.serving import server; print(server.APPLICATION_SECONDS, server.END_SECONDS)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, check=True, timeout=60)
    applications, end = map(float, shown.stdout.split())
    assert applications < end < stack._GRACE


def test_an_endpoint_has_room_for_a_burst_unless_it_says_how_much() -> None:
    """In a process of its own: it brings its own event loop, for everything."""
    endpoints = ["tcp:port=80", "tcp:port=80:backlog=7", "unix:/run/web.sock", "fd:fileno=3"]
    code = f"from config.serving.server import with_backlog; print([with_backlog(each) for each in {endpoints}])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, check=True, timeout=60)
    wanted = ["tcp:port=80:backlog=1024", "tcp:port=80:backlog=7", "unix:/run/web.sock:backlog=1024", "fd:fileno=3"]
    assert shown.stdout.decode().strip() == str(wanted)


@pytest.mark.parametrize(("path", "compression"), [("", None), ("", "deflate"), ("at-once", None)])
async def test_frames_of_every_size_come_whole_and_in_order(port: int, path: str, compression: str | None) -> None:
    # Where the header changes its form; and some that are binary.
    sizes = [4, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, -5, 4, -70_000, 4, 300_000, 4]
    sizes += [random.choice((10, 200, 70_000, -20)) for _ in range(100)]
    async with connect(f"ws://127.0.0.1:{port}/{path}", max_size=None, compression=compression) as socket:
        await socket.send(json.dumps(sizes))
        for number, size in enumerate(sizes):
            got = await asyncio.wait_for(socket.recv(), 20)
            assert got == (bytes(-size) if size < 0 else text_of(number, size))


async def test_who_reads_late_gets_everything_in_order(port: int) -> None:
    """The socket's buffer is full soon, in the middle of a frame; what follows waits behind that."""
    sizes = [50, 5000] * 1500
    async with connect(f"ws://127.0.0.1:{port}/", max_queue=1, compression=None) as socket:
        await socket.send(json.dumps(sizes))
        await asyncio.sleep(0.5)
        for number, size in enumerate(sizes):
            assert await asyncio.wait_for(socket.recv(), 20) == text_of(number, size)


async def test_what_has_no_room_is_not_sent_at_once(port: int) -> None:
    sizes = [5000] * 1500
    async with connect(f"ws://127.0.0.1:{port}/at-once", max_queue=1, compression=None) as socket:
        await socket.send(json.dumps(sizes))
        await asyncio.sleep(0.5)
        for number, size in enumerate(sizes):
            assert await asyncio.wait_for(socket.recv(), 20) == text_of(number, size)
        assert 0 < int(await asyncio.wait_for(socket.recv(), 20)) < len(sizes)


async def test_who_leaves_in_the_middle_is_in_nobodys_way(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/", max_queue=1, compression=None) as leaving:
        await leaving.send(json.dumps([5000] * 2000))
        await asyncio.sleep(0.1)
        leaving.transport.abort()
    async with connect(f"ws://127.0.0.1:{port}/") as socket:
        await socket.send("[10]")
        assert await asyncio.wait_for(socket.recv(), 20) == text_of(0, 10)
