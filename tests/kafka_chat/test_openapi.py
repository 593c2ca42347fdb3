"""The API's description, held against what the API does.

Every response here must be described, every described status and error code must occur, and every described parameter
and body is used as described.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.db import OperationalError
from django.test import AsyncClient
from openapi_spec_validator import validate
from pytest_django import Settings
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import kafka_chat
from kafka_chat import asking, questions, urls
from llm import runs
from llm.limits import Limits
from llm.runs import RunLog
from tests.kafka_chat.asking import begin, newcomer, store
from tests.kafka_chat.events import read

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("run_log")]

DOCUMENT = json.loads((Path(kafka_chat.__file__).parent / "openapi.json").read_text(encoding="utf-8"))
_REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:api", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)


def _resolved(part: Any) -> Any:
    """Follow a reference within the document."""
    while "$ref" in part:
        part = _REGISTRY.resolver("urn:api").lookup(part["$ref"]).contents
    return part


def _check(instance: object, schema: Mapping[str, Any]) -> None:
    """Hold something against a schema of the document."""
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
    validator = jsonschema.Draft202012Validator(
        absolute, registry=_REGISTRY, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(instance)


class Operation:
    """One described operation, called with real requests."""

    def __init__(self, name: str) -> None:
        self.path, self.method, self.described = next(
            (path, method, operation)
            for path, operations in DOCUMENT["paths"].items()
            for method, operation in operations.items()
            if operation["operationId"] == name
        )
        self.produced: set[tuple[str, str]] = set()

    async def __call__(
        self,
        client: AsyncClient,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        message_id: object = "",
    ) -> Any:
        """Send a request; hold the response against the description, and the request, unless it is refused."""
        address = self.path.format(message_id=message_id)
        query, headers = dict(query or {}), dict(headers or {})
        if self.method == "get":
            response = await client.get(address, query, headers=headers)
        else:
            headers.setdefault("X-CSRFToken", "ours")
            content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
            response = await client.post(address, content, content_type="application/json", headers=headers)
        self._check_response(response)
        if response.status_code < 400:
            self._check_request({"query": query, "header": headers, "path": {"message_id": str(message_id)}}, body)
        return response

    def _check_response(self, response: Any) -> None:
        described = _resolved(self.described["responses"][str(response.status_code)])
        content_type = response.headers["Content-Type"].partition(";")[0]
        schema = described["content"][content_type]["schema"]
        code = ""
        if content_type == "application/json":
            _check(response.json(), schema)
            code = response.json().get("error", {}).get("code", "") if response.status_code >= 400 else ""
        for name, header in described.get("headers", {}).items():
            header = _resolved(header)
            if header.get("required") or name in response.headers:
                value = response.headers[name]
                _check(int(value) if header["schema"].get("type") == "integer" else value, header["schema"])
        self.produced.add((str(response.status_code), code))

    def _check_request(self, sent: Mapping[str, Mapping[str, str]], body: object) -> None:
        parameters = {(each["in"], each["name"]): each for each in map(_resolved, self.described.get("parameters", ()))}
        for place, values in sent.items():
            for name, value in values.items():
                if place == "path" and (place, name) not in parameters:
                    continue
                schema = _resolved(parameters.pop((place, name))["schema"])
                _check(int(value) if schema.get("type") == "integer" else value, schema)
        assert not [parameter for parameter in parameters.values() if parameter.get("required")]
        if body is not None:
            _check(body, self.described["requestBody"]["content"]["application/json"]["schema"])

    def documented(self) -> set[tuple[str, str]]:
        """Return the described statuses, with the codes of errors."""
        found = set()
        for status, response in self.described["responses"].items():
            schema = _resolved(response)["content"].get("application/json", {}).get("schema", {})
            extra = schema["allOf"][1] if "allOf" in schema else None
            codes = extra["properties"]["error"]["properties"]["code"]["enum"] if extra else [""]
            found |= {(status, code) for code in codes}
        return found


@pytest.fixture
def operation(request: pytest.FixtureRequest) -> Iterator[Operation]:
    """The operation that the test is about; at the end all that is described must have occurred."""
    calls = Operation(request.node.get_closest_marker("parametrize").args[1][0])
    yield calls
    assert calls.produced == calls.documented()


def _about(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("_name", [name])


@pytest.fixture
async def client() -> AsyncClient:
    """A browser that has been here before."""
    return await newcomer()


def _away(*_: object, **__: object) -> None:
    raise OperationalError("connection refused")


async def _away_for_now(*_: object, **__: object) -> None:
    _away()


async def _ask(client: AsyncClient, message: str = "why?") -> Any:
    return (await Operation("ask")(client, body={"message": message})).json()


def test_the_description_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_address_is_described() -> None:
    addresses = {f"/{pattern.pattern}".replace("<str:message_id>", "{message_id}") for pattern in urls.urlpatterns}
    assert addresses == set(DOCUMENT["paths"])


@_about("ask")
async def test_asking(
    _name: str, operation: Operation, client: AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await operation(client, body={"message": "why?"}, headers={"Idempotency-Key": "k1"})
    again = await operation(client, body={"message": "why?"}, headers={"Idempotency-Key": "k1"})
    assert first.json() == again.json()
    for body in (b"{", b"\xff", b"{}", b'{"message": ""}', b'{"message": "\\u0000"}'):
        await operation(client, body=body)
    await operation(client, body={"message": "x" * 4001})
    await operation(client, body={"message": "x" * 70_000})
    await operation(client, body={"message": "why?"}, headers={"Idempotency-Key": "a b"})
    await operation(AsyncClient(enforce_csrf_checks=True), body={"message": "why?"})
    with monkeypatch.context() as patched:
        patched.setattr(asking, "ask", _away_for_now)
        await operation(client, body={"message": "why?"})
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "anonymous": Limits.parse("1/minute")}
    await operation(client, body={"message": "why?"})


@_about("checkAnswer")
async def test_looking(_name: str, operation: Operation, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = await _ask(client)
    ids = {"message_id": asked["message_id"]}
    response = await operation(client, query=ids)
    assert response.headers["Retry-After"] == "1"
    await operation(client, query=ids | {"wait": "1"})
    await begin(asked)
    assert (await operation(client, query=ids)).json()["status"] == "generating"
    await store(asked, provider="scripted", prompt_tokens=1, completion_tokens=2)
    assert "Retry-After" not in (await operation(client, query=ids | {"wait": "25"})).headers
    failed = await _ask(client)
    await store(failed, error="No model can answer.")
    await operation(client, query={"message_id": failed["message_id"]})
    await operation(client, query={})
    await operation(client, query=ids | {"wait": "26"})
    await operation(await newcomer(), query=ids)
    monkeypatch.setattr(asking, "find", _away_for_now)
    await operation(client, query=ids)


@_about("events")
async def test_reading_along(
    _name: str, operation: Operation, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await _ask(client)
    writer = await begin(asked)
    writer.write("because")
    stream = await operation(client, message_id=asked["message_id"], query={"after": "0"})
    events = read(stream.streaming_content)
    schemas = DOCUMENT["components"]["schemas"]
    _check((await anext(events)).data, schemas["Delta"])
    await runs.log().close(writer)
    await store(asked)
    _check((await anext(events)).data, schemas["End"])
    late = await operation(client, message_id=asked["message_id"], headers={"Last-Event-ID": "1"})
    (end,) = [event async for event in read(late.streaming_content)]
    _check(end.data, schemas["End"])
    await operation(client, message_id=asked["message_id"], query={"after": "x"})
    await operation(client, message_id=uuid.uuid4())
    monkeypatch.setattr(asking, "find", _away_for_now)
    await operation(client, message_id=asked["message_id"])


@_about("stop")
async def test_stopping(
    _name: str, operation: Operation, client: AsyncClient, run_log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import ConnectionError as RedisIsAway

    async def redis_away(*_: object) -> bool:
        raise RedisIsAway("connection refused")

    asked = await _ask(client)
    await begin(asked)
    ids = {"message_id": asked["message_id"]}
    with monkeypatch.context() as patched:
        patched.setattr(run_log, "stop", redis_away)
        await operation(client, **ids)
    response = await operation(client, **ids, body={"seen": 0})
    assert (response.status_code, response.headers["Retry-After"]) == (202, "1")
    waiting = await _ask(client)
    assert (await operation(client, message_id=waiting["message_id"])).json()["status"] == "stopped"
    await operation(client, **ids, body={"seen": -1})
    await operation(client, **ids, body=b" " * 70_000)
    await operation(client, message_id="no-id")
    await operation(AsyncClient(enforce_csrf_checks=True), **ids)
    monkeypatch.setattr(asking, "find", _away_for_now)
    await operation(client, **ids)


@_about("rate")
async def test_rating(_name: str, operation: Operation, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = await _ask(client)
    ids = {"message_id": asked["message_id"]}
    good = {"rating": "up", "comment": "  Right.  "}
    await operation(client, **ids, body=good)
    await store(asked)
    assert (await operation(client, **ids, body=good)).json() == {"rating": "up", "comment": "Right."}
    (seen,) = (await Operation("history")(client)).json()["messages"]
    assert (seen["rating"], seen["comment"]) == ("up", "Right.")
    await operation(client, **ids, body={"rating": None})
    (seen,) = (await Operation("history")(client)).json()["messages"]
    assert (seen["rating"], seen["comment"]) == (None, "")
    for comment in ("x" * 1001, "\0"):
        await operation(client, **ids, body={"rating": "down", "comment": comment})
    await operation(client, **ids, body={"rating": "sideways"})
    await operation(client, **ids, body=b" " * 70_000)
    await operation(client, message_id="no-id", body=good)
    await operation(await newcomer(), **ids, body=good)
    await operation(AsyncClient(enforce_csrf_checks=True), **ids, body=good)
    assert (await Operation("history")(client)).json()["messages"] == [seen]
    monkeypatch.setattr(questions, "rate", _away)
    await operation(client, **ids, body=good)


@_about("history")
async def test_reading_back(
    _name: str, operation: Operation, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await _ask(client, f"question {number}")
    page = (await operation(client, query={"limit": "2"})).json()
    rest = (await operation(client, query={"before": page["next"], "limit": "2"})).json()
    assert [each["message"] for each in (*rest["messages"], *page["messages"])] == [f"question {n}" for n in range(3)]
    assert rest["next"] is None
    await operation(client, query={"before": "yesterday"})
    await operation(client, query={"limit": "101"})
    monkeypatch.setattr(questions, "history", _away)
    await operation(client)


def test_what_is_not_described_fails() -> None:
    class Response:
        status_code = 418
        headers: Mapping[str, str] = {"Content-Type": "application/json"}

    with pytest.raises(KeyError):
        Operation("history")._check_response(Response())
    page = DOCUMENT["paths"]["/api/chat/history/"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    _check({"messages": [], "next": None}, page)
    with pytest.raises(jsonschema.ValidationError):
        _check({"messages": [], "next": None, "more": True}, page)
    refused = DOCUMENT["components"]["responses"]["Csrf"]["content"]["application/json"]["schema"]
    _check({"error": {"code": "csrf", "message": "Reload the page."}}, refused)
    with pytest.raises(jsonschema.ValidationError):
        _check({"error": {"code": "new", "message": "Reload the page."}}, refused)
