"""An Ollama server that writes slowly and without end, as a process that can be killed. Prints its address."""

import asyncio

from tests.llm.servers.ollama import OllamaServer
from tests.llm.servers.wire import Scene


async def play() -> None:
    """Serve until killed."""
    server = OllamaServer(Scene(pieces=tuple(f"word{number} " for number in range(10_000)), gated=True))
    async with server.listening():
        print(server.url, flush=True)
        while True:
            await asyncio.sleep(0.1)
            server.permits.release()


if __name__ == "__main__":
    asyncio.run(play())
