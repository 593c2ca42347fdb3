import asyncio
import threading
import uuid
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, AsyncRequestFactory
from pytest_django import Settings

from config import database, operators
from config.embedded.ports import any_free
from config.observability import health
from kafka_chat import topics
from llm import breaker
from tests.servers import frozen

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do not wait long for servers that are away, and look anew each time."""
    monkeypatch.setattr(health, "PATIENCE", 1.5)
    monkeypatch.setattr(health, "FRESH", 0.0)
    yield


async def test_a_process_that_serves_requests_is_alive(async_client: AsyncClient) -> None:
    response = await async_client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_it_is_ready_when_all_servers_answer(async_client: AsyncClient) -> None:
    response = await async_client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "postgresql": "ok",
        "kafka": "ok",
        "redis": "ok",
        "model": "not checked",
        "coder": "not checked",
        "limits": "ok",
        "circuits": {"scripted": "closed"},
        "warnings": [],
    }


async def test_it_is_not_ready_when_servers_are_away(async_client: AsyncClient, settings: Settings) -> None:
    nowhere = f"127.0.0.1:{any_free()}"
    settings.KAFKA_BOOTSTRAP_SERVERS = nowhere
    settings.REDIS_URL = f"redis://{nowhere}/0"
    settings.LLM_CHAINS = {"chat": ("local",)}
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"llm_local_url": f"http://{nowhere}"})
    response = await async_client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "not ready",
        "postgresql": "ok",
        "kafka": "away",
        "redis": "away",
        "model": "away",
        "coder": "not checked",
        "limits": "degraded",
        "circuits": {},
        "warnings": [],
    }


async def test_nobody_waits_for_a_database_that_is_frozen(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.5)
    ((pid,),) = await database.rows("SELECT pg_backend_pid()", ())
    with frozen(pid):
        asked = asyncio.create_task(async_client.get("/readyz"))
        await asyncio.wait([asked], timeout=4.5)
        assert asked.done()
    assert (asked.result().status_code, asked.result().json()["postgresql"]) == (503, "away")


async def test_while_it_cannot_be_read_who_asks_they_are_no_operator_and_are_told_soon(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "PATIENCE", 0.1)
    there = threading.Event()
    request = AsyncRequestFactory().get("/readyz", headers={"X-Forwarded-For": "203.0.113.7"})
    request.COOKIES[settings.SESSION_COOKIE_NAME] = "of somebody"
    request.auser = sync_to_async(there.wait)
    asked = asyncio.create_task(operators.asks(request))
    await asyncio.wait([asked], timeout=15)
    there.set()
    assert asked.done()
    assert await asked is False


async def test_without_redis_it_can_do_less_and_says_so(async_client: AsyncClient, settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{any_free()}/0"
    response = await async_client.get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert (body["status"], body["redis"], body["limits"]) == ("degraded", "away", "degraded")


async def test_a_chat_whose_providers_all_fail_is_degraded_and_not_sent_away(
    async_client: AsyncClient, settings: Settings
) -> None:
    one, other = (f"provider-{uuid.uuid4()}" for _ in range(2))
    settings.LLM_CHAINS = {"chat": (one, other), "sql": ("scripted",)}
    settings.LLM_BREAKER_FAILURES = 1
    circuits = breaker.from_settings()
    await circuits.failed(one)
    response = await async_client.get("/readyz")
    assert response.json()["status"] == "ready"
    await circuits.failed(other)
    response = await async_client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["circuits"] == {one: "open", other: "open", "scripted": "closed"}


async def test_the_model_that_writes_sql_has_a_circuit_of_its_own(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.LLM_CHAINS = {"chat": ("local", "scripted"), "sql": ("local",)}
    urls = {"llm_local_url": "http://127.0.0.1:1", "llm_local_sql_url": "http://127.0.0.1:2"}
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update=urls)
    assert set((await async_client.get("/readyz")).json()["circuits"]) == {"local", "local-sql", "scripted"}


async def test_a_model_that_others_can_replace_is_not_needed(async_client: AsyncClient, settings: Settings) -> None:
    settings.LLM_CHAINS = {"chat": ("local", "scripted")}
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"llm_local_url": f"http://127.0.0.1:{any_free()}"})
    assert (await async_client.get("/readyz")).json()["model"] == "not checked"


async def test_without_the_model_that_writes_sql_it_can_do_less_and_says_so(
    async_client: AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH", 0.0)

    def configure(chains: dict[str, tuple[str, ...]], **urls: str) -> None:
        settings.LLM_CHAINS = chains
        settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update=urls)

    nowhere = f"http://127.0.0.1:{any_free()}"
    configure({"chat": ("scripted",), "sql": ("local",)}, llm_local_sql_url=nowhere)
    response = await async_client.get("/readyz")
    body = response.json()
    assert (response.status_code, body["status"], body["coder"], body["model"]) == (
        200,
        "degraded",
        "away",
        "not checked",
    )
    # Where others can replace it, and where it is the model of the chat.
    configure({"chat": ("scripted",), "sql": ("local", "scripted")})
    assert (await async_client.get("/readyz")).json()["coder"] == "not checked"
    configure({"chat": ("scripted",), "sql": ("local",)}, llm_local_url=nowhere)
    assert (await async_client.get("/readyz")).json()["coder"] == "not checked"


async def test_topics_with_fewer_partitions_are_a_warning_and_no_failure(
    async_client: AsyncClient, settings: Settings
) -> None:
    await sync_to_async(topics.ensure)()
    there = settings.KAFKA_PARTITIONS
    settings.KAFKA_PARTITIONS = there + 1
    response = await async_client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "ready")
    warned = f"The topic {topics.QUESTIONS} has fewer partitions ({there}) than KAFKA_PARTITIONS ({there + 1})."
    assert warned in response.json()["warnings"]
    assert len(response.json()["warnings"]) == len(topics.ALL)


async def test_however_many_ask_each_server_is_asked_once(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for server in health._CHECKS:

        async def check(server: str = server) -> health.Finding:
            asked.append(server)
            await asyncio.sleep(0.05)
            return health.Finding("ok")

        monkeypatch.setitem(health._CHECKS, server, check)
    monkeypatch.setattr(health, "FRESH", 60.0)
    # The first one leaves while the servers are asked; what they say is for the others.
    leaving = asyncio.create_task(async_client.get("/readyz"))
    await asyncio.sleep(0.02)
    leaving.cancel()
    answers = await asyncio.gather(*(async_client.get("/readyz") for _ in range(5)))
    answers.append(await async_client.get("/readyz"))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(asked) == sorted(health._CHECKS)


async def test_visitors_are_told_the_status_and_operators_the_rest(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.OPERATOR_TOKEN = "the tests' operator token"
    proxied = {"X-Forwarded-For": "203.0.113.7"}

    async def told(client: AsyncClient, **headers: str) -> set[str]:
        response = await client.get("/readyz", headers=proxied | headers)
        assert response.status_code == 200
        return set(response.json())

    assert await told(async_client) == {"status"}
    assert await told(async_client, Authorization="Bearer the tests' operator tokem") == {"status"}
    assert "kafka" in await told(async_client, Authorization=f"bearer {settings.OPERATOR_TOKEN}")
    settings.OPERATOR_TOKEN = ""
    assert await told(async_client, Authorization="Bearer ") == {"status"}
    user = await User.objects.acreate_user("somebody")
    await async_client.aforce_login(user)
    assert await told(async_client) == {"status"}
    user.is_staff = True
    await user.asave()
    assert "kafka" in await told(async_client)
