"""Metrics: who may read them, that they tell what happened, and that the reference lists every one of them."""

import re
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from config.embedded.ports import any_free
from config.env import BASE_DIR
from config.observability import looking, metrics, metrics_port
from config.observability.looking import Looked, Reading, Readings
from config.serving.handler import Handler
from tests.config.exported import exported

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def site() -> AsyncIterator[httpx.AsyncClient]:
    """A client on this machine, of our own handler."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Handler()), base_url="http://localhost") as client:
        yield client


async def _read(client: httpx.AsyncClient) -> dict[str, Metric]:
    response = await client.get("/metrics")
    assert response.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(response.content.decode())}


def _value(families: dict[str, Metric], family: str, **labels: str) -> float:
    """Return the sum of a family's samples with these labels, without times of creation and buckets."""
    return sum(
        sample.value
        for sample in families[family].samples
        if not sample.name.endswith(("_created", "_bucket", "_sum")) and labels.items() <= sample.labels.items()
    )


async def test_only_operators_read_them(site: httpx.AsyncClient, settings: Settings) -> None:
    settings.OPERATOR_TOKEN = "the tests' operator token"
    refused = await site.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"})
    assert refused.status_code == 403
    assert b"triptych_" not in refused.content
    headers = {"X-Forwarded-For": "203.0.113.7", "Authorization": f"Bearer {settings.OPERATOR_TOKEN}"}
    allowed = await site.get("/metrics", headers=headers)
    assert allowed.status_code == 200
    assert allowed.headers["Content-Type"].startswith("text/plain; version=")


async def test_requests_count_by_pattern_whatever_their_address_says(site: httpx.AsyncClient) -> None:
    before = await _read(site)
    assert (await site.get("/healthz")).status_code == 200
    for number in range(3):
        assert (await site.get(f"/nothing/{number}")).status_code == 404
    after = await _read(site)

    def more(**labels: str) -> float:
        return _value(after, "triptych_http_requests", **labels) - _value(before, "triptych_http_requests", **labels)

    assert more(method="GET", route="/healthz", status="200") == 1
    assert more(method="GET", route="none", status="404") == 3


async def test_what_stands_in_the_servers_is_told_by_the_web_process(site: httpx.AsyncClient) -> None:
    families = await _read(site)
    assert {sample.labels["status"] for sample in families["triptych_open_questions"].samples} == {
        "queued",
        "generating",
    }
    assert _value(families, "triptych_outbox_backlog") >= 0
    assert _value(families, "triptych_circuit", provider="scripted") == 1


async def test_open_sockets_are_counted_while_they_are_open() -> None:
    async def application(scope: object, receive: object, send: object) -> None:
        assert REGISTRY.get_sample_value("triptych_open_sockets", {"path": "/a/"}) == 1

    await metrics.counted(application, "/a/")(None, None, None)
    assert REGISTRY.get_sample_value("triptych_open_sockets", {"path": "/a/"}) == 0


def test_a_worker_serves_its_own_and_not_the_sites() -> None:
    port = any_free()
    with metrics_port.served("127.0.0.1", port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
        with pytest.raises(metrics_port.CannotServe, match=f"127.0.0.1:{port}"), metrics_port.served("127.0.0.1", port):
            pass
    assert "triptych_runs" in text
    assert "triptych_outbox_backlog" not in text


@pytest.fixture
def hanging() -> Iterator[tuple[Looked, threading.Event, list[int]]]:
    """Gauges of a server that keeps silent until the event is set; with the number of looks."""
    goes_on = threading.Event()
    looks: list[int] = []
    reading = Reading("test_hanging", "For this test.")

    def look() -> Readings:
        looks.append(1)
        goes_on.wait(20)
        return {reading: [((), 7.0)]}

    yield Looked([reading], look), goes_on, looks
    goes_on.set()


def test_a_server_that_keeps_silent_is_looked_at_once_and_waited_for_briefly(
    hanging: tuple[Looked, threading.Event, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, goes_on, looks = hanging
    monkeypatch.setattr(looking, "PATIENCE", 0.01)
    for _ in range(3):
        assert [family.samples for family in looked.collect()] == [[]]
    monkeypatch.setattr(looking, "PATIENCE", 20.0)
    goes_on.set()
    for _ in range(3):
        assert [sample.value for family in looked.collect() for sample in family.samples] == [7.0]
    assert len(looks) == 1


def test_the_reference_lists_every_metric_with_its_labels_and_meaning() -> None:
    text = (BASE_DIR / "docs" / "metrics.md").read_text()
    assert re.findall(r"^\| `triptych_.*$", text, re.M) == [each.row for each in exported()]
