"""The scripted provider, keeping what it is asked."""

import asyncio
from collections.abc import AsyncGenerator

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

    async def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Answer as the scripted provider does."""
        self.requests.append(request)
        self.asked.set()
        await self.may_answer.wait()
        async for chunk in super().stream(request):
            yield chunk
