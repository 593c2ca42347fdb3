"""Spans: what may name one, what they cost where there is no collector, and a collector that is away."""

import subprocess
import sys
import time
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from config.embedded.ports import any_free
from config.env import BASE_DIR, ConfigurationError
from config.observability import collector, tracing
from tests.collecting import Receiver, receiver, receiving, told, tree

__all__ = ["receiver"]

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_NAMED = f"00-{_TRACE}-00f067aa0ba902b7-01"


def test_a_well_formed_traceparent_names_a_span() -> None:
    for given in (_NAMED, _NAMED.encode(), _NAMED.replace("-01", "-00")):
        assert tracing.read(given) == tracing.Place(int(_TRACE, 16), 0x00F067AA0BA902B7)


@pytest.mark.parametrize(
    "given",
    [
        *(None, "", b"", "0" * 1_000_000, _NAMED.upper(), _NAMED + "-", _NAMED[:-1], f"{_NAMED},{_NAMED}"),
        *(_NAMED.replace("00-4", "ff-4"), _NAMED.replace("00-4", "01-4"), _NAMED.replace("a", "\u0664")),
        *(f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{_TRACE}-{'0' * 16}-01", b"\xff" * 55, _NAMED[:-1] + "\n"),
    ],
)
def test_what_is_malformed_names_none(given: str | bytes | None) -> None:
    assert tracing.read(given) is None


async def test_a_span_is_the_child_of_one_of_its_own_trace_alone(receiver: Receiver) -> None:
    mine, another = uuid4(), uuid4()
    with tracing.span("first", mine):
        message = tracing.headers(mine)
        assert tracing.headers(another) == {}
        with tracing.span("within", mine):
            pass
        with tracing.span("of another", another):
            pass
    # As in another process.
    with tracing.continued(message[tracing.HEADER].encode()), tracing.span("continued", mine):
        pass
    spans = await receiver.after_all()
    assert tree(spans) == {("", "first"), ("first", "within"), ("", "of another"), ("first", "continued")}
    assert receiver.services == {"triptych-test"}


async def test_an_exception_is_told_by_its_name_and_without_its_words(receiver: Receiver) -> None:
    with pytest.raises(ValueError), tracing.span("work", uuid4()):
        raise ValueError("what a visitor wrote")
    (span,) = await receiver.after_all()
    assert told(span) == {"error.type": "ValueError"}
    assert b"visitor" not in span.SerializeToString()


async def test_a_collector_gets_the_headers_that_it_wants() -> None:
    with receiving() as (receiver, address):
        tracing.start("triptych-test", f"{address}/", "authorization=Bearer%20key, x-tenant=7")
        with tracing.span("work", uuid4()):
            pass
        assert len(await receiver.after_all()) == 1
    assert (receiver.headers["authorization"], receiver.headers["x-tenant"]) == ("Bearer key", "7")


def test_without_a_collector_nothing_is_imported() -> None:
    # The library's metrics are another matter: redis-py imports them wherever they are installed.
    code = (
        "import django, sys; django.setup(); import config.asgi, kafka_chat.worker; "
        "spans = ('opentelemetry.exporter', 'opentelemetry.sdk.trace'); "
        "print([name for name in sys.modules if name.startswith(spans)])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, timeout=60)
    assert shown.stdout == "[]\n", shown.stderr


def test_without_a_collector_there_is_nothing_and_nothing_breaks() -> None:
    with tracing.span("work", UUID(_TRACE), link=_NAMED), tracing.continued(_NAMED):
        tracing.say("done")
        tracing.move(uuid4())
        assert tracing.headers(UUID(_TRACE)) == {}
    assert tracing.begin("work", UUID(_TRACE)) is None


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "config.observability.collector")
    monkeypatch.delattr("config.observability.collector")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ConfigurationError, match=r"opentelemetry.* is not installed: pip install 'triptych\[otel\]'"):
        tracing.start("triptych-test", "http://127.0.0.1:4318")


def test_a_collector_that_is_away_has_a_line_which_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_GATHER_MS", 10)
    monkeypatch.setattr(collector, "_PATIENCE", 1.5)
    with capture_logs() as lines:
        tracing.start("triptych-test", f"http://127.0.0.1:{any_free()}")
        # Several requests' worth.
        for _ in range(2000):
            with tracing.span("work", uuid4()):
                pass
        tracing.stop()
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("warning", "spans are dropped, the collector takes none")
    assert "refused" in line["reason"]


def test_the_end_of_a_process_does_not_wait_for_a_collector_that_keeps_silent() -> None:
    with receiving() as (receiver, address):
        receiver.may_answer.clear()
        tracing.start("triptych-test", address)
        with tracing.span("work", uuid4()):
            pass
        began = time.monotonic()
        tracing.stop()
        # The library's own end waits for thirty.
        assert time.monotonic() - began < 5 * collector.LAST_MS / 1000
