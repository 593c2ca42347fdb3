"""The scripted provider, keeping what it is asked, and the fixtures that make it the model of every chain."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from llm import conversations, registry
from llm.providers.scripted import Scene, Scripted
from llm.types import Chunk, Request


class Model(Scripted):
    """Plays scenes, keeps what it is asked, and answers only while it may."""

    def __init__(self, *scenes: dict[str, object]) -> None:
        super().__init__([Scene.model_validate(scene) for scene in scenes])
        self.requests: list[Request] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @property
    def told(self) -> list[str]:
        """What it was told last, without the persona."""
        return [message.content for message in self.requests[-1].messages[1:]]

    async def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Answer as the scripted provider does."""
        self.requests.append(request)
        self.asked.set()
        await self.may_answer.wait()
        async for chunk in super().stream(request):
            yield chunk


@pytest.fixture
async def fresh() -> AsyncIterator[None]:
    """Chains and conversations that no other test has used."""
    await registry.aclose()
    yield
    await conversations.aclose(0)
    await registry.aclose()


@pytest.fixture
def model(fresh: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model of every chain, which plays the scenes that the test's module has as `SCENES`."""
    model = Model(*request.module.SCENES)
    monkeypatch.setattr(registry, "build", lambda *_: model)
    return model
