"""Visitors who ask over HTTP as the page does: a POST that is sent again with its key, then held polls."""

import asyncio
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.kafka_chat.faults.plan import Ask

_HOLD = 20
_AGAIN = 0.2


@dataclass
class Asked:
    """A question, and what its visitor saw. Times are monotonic seconds."""

    ask: Ask
    visitor: int
    posted: float
    accepted: float | None = None
    finished: float | None = None
    posts: int = 0
    message_ids: set[str] = field(default_factory=set)
    end: dict[str, Any] = field(default_factory=dict)

    @property
    def took(self) -> float:
        """Seconds from the first POST to the end."""
        return (self.finished or time.monotonic()) - self.posted

    def __str__(self) -> str:
        return f"visitor {self.visitor}: {self.ask.text}"


class Visitor:
    """One browser."""

    def __init__(self, number: int, url: str, deadline: float) -> None:
        self.asked: list[Asked] = []
        self._number = number
        self._deadline = deadline
        self._http = httpx.AsyncClient(base_url=url, timeout=_HOLD + 10, limits=httpx.Limits(max_connections=8))

    async def ask_all(self, asks: Iterable[Ask]) -> None:
        """Ask these, each after its pause; return when all are finished, or at the deadline."""
        async with self._http, asyncio.TaskGroup() as group:
            await self._open_page()
            for ask in asks:
                await asyncio.sleep(ask.pause)
                asked = Asked(ask, self._number, time.monotonic())
                self.asked.append(asked)
                poll_url = await self._post(asked)
                if poll_url is None:
                    return
                watching = group.create_task(self._watch(asked, poll_url))
                if ask.waits:
                    await watching

    @property
    def _is_patient(self) -> bool:
        return time.monotonic() < self._deadline

    async def _open_page(self) -> None:
        while self._is_patient:
            if (response := await self._send("GET", "/about/")) is not None and response.status_code == 200:
                return
            await asyncio.sleep(_AGAIN)

    async def _post(self, asked: Asked) -> str | None:
        """Post a question until it is accepted; returns where to look for its answer."""
        headers = {"Idempotency-Key": uuid.uuid4().hex, "X-CSRFToken": self._http.cookies.get("csrftoken", "")}
        while self._is_patient:
            asked.posts += 1
            response = await self._send("POST", "/api/chat/", json={"message": asked.ask.text}, headers=headers)
            if response is not None and response.status_code == 202:
                body = response.json()
                asked.message_ids.add(body["message_id"])
                asked.accepted = time.monotonic()
                return str(body["poll_url"])
            await asyncio.sleep(_AGAIN)
        return None

    async def _watch(self, asked: Asked, poll_url: str) -> None:
        while self._is_patient:
            response = await self._send("GET", f"{poll_url}&wait={_HOLD}")
            if response is not None and response.status_code == 200:
                body = response.json()
                if body["status"] in ("answered", "failed"):
                    asked.finished, asked.end = time.monotonic(), body
                    return
            else:
                await asyncio.sleep(_AGAIN)

    async def _send(self, method: str, url: str, **what: Any) -> httpx.Response | None:
        try:
            return await self._http.request(method, url, **what)
        except httpx.HTTPError:
            return None
