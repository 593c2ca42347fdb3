"""Each provider beside a server that speaks its wire protocol."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from llm.providers.base import Provider
from llm.providers.gemini import Gemini
from llm.providers.ollama import Ollama
from llm.providers.openai_compatible import OpenAICompatible
from tests.llm.servers.gemini import GeminiServer
from tests.llm.servers.ollama import OllamaServer
from tests.llm.servers.openai import OpenAIServer
from tests.llm.servers.wire import Exchange, Scene, Server

# What a leak is recognised by.
KEY = "sk-recognisable-0f3a9c"
# A stall is noticed after this many seconds.
SILENCE = 0.3
# For servers that are only slow, because the machine is.
PATIENCE = 30.0


@dataclass(frozen=True)
class Asked:
    """What a server was asked, in words that fit every protocol."""

    key: str | None
    model: str
    system: str
    turns: list[tuple[str, str]]
    max_tokens: int
    temperature: float
    schema: Any


class Peer(ABC):
    """A provider and its protocol."""

    name: str
    server: type[Server]

    @abstractmethod
    def provider(self, url: str, silence: float = PATIENCE) -> Provider:
        """Make the provider, for a server at this address."""

    @abstractmethod
    def asked(self, exchange: Exchange) -> Asked:
        """Read a request back from its bytes."""

    @asynccontextmanager
    async def playing(self, scene: Scene) -> AsyncIterator[tuple[Provider, Server]]:
        """Serve a scene, and make a provider for it."""
        async with self.server(scene).listening() as server:
            stalls = "stall" in (scene.before, scene.then)
            provider = self.provider(server.url, SILENCE if stalls else PATIENCE)
            try:
                yield provider, server
            finally:
                await provider.aclose()


class OpenAIPeer(Peer):
    name = "openai"
    server = OpenAIServer

    def provider(self, url: str, silence: float = PATIENCE) -> Provider:
        return OpenAICompatible(
            name="openai", model="a-model", base_url=f"{url}/v1", api_key=KEY, silence_seconds=silence
        )

    def asked(self, exchange: Exchange) -> Asked:
        assert exchange.path == "/v1/chat/completions"
        body = exchange.body
        assert body["stream"] is True
        # Without this OpenAI sends no usage.
        assert body["stream_options"] == {"include_usage": True}
        schema_format = body.get("response_format")
        assert schema_format is None or schema_format["type"] == "json_schema"
        return Asked(
            key=exchange.headers["authorization"].removeprefix("Bearer "),
            model=body["model"],
            system=_system(body["messages"]),
            turns=_turns(body["messages"]),
            max_tokens=body["max_tokens"],
            temperature=body["temperature"],
            schema=schema_format and schema_format["json_schema"]["schema"],
        )


class OllamaPeer(Peer):
    name = "ollama"
    server = OllamaServer

    def provider(self, url: str, silence: float = PATIENCE) -> Provider:
        return Ollama(model="a-model", url=url, silence_seconds=silence)

    def asked(self, exchange: Exchange) -> Asked:
        assert exchange.path == "/api/chat"
        body = exchange.body
        assert body["stream"] is True
        return Asked(
            # The client takes it from OLLAMA_API_KEY.
            key=exchange.headers["authorization"].removeprefix("Bearer "),
            model=body["model"],
            system=_system(body["messages"]),
            turns=_turns(body["messages"]),
            max_tokens=body["options"]["num_predict"],
            temperature=body["options"]["temperature"],
            schema=body.get("format"),
        )


class GeminiPeer(Peer):
    name = "gemini"
    server = GeminiServer

    def provider(self, url: str, silence: float = PATIENCE) -> Provider:
        return Gemini(model="a-model", api_key=KEY, endpoint=url, silence_seconds=silence)

    def asked(self, exchange: Exchange) -> Asked:
        path, _, query = exchange.path.partition("?")
        assert "key=" not in query
        assert "enum-encoding" in query
        body = exchange.body
        config = body["generationConfig"]
        schema = config.get("responseSchema")
        assert (config.get("responseMimeType") == "application/json") is (schema is not None)
        roles = {"user": "user", "model": "assistant"}
        return Asked(
            key=exchange.headers["x-goog-api-key"],
            model=path.removeprefix("/v1beta/models/").removesuffix(":streamGenerateContent"),
            system=body.get("systemInstruction", {}).get("parts", [{}])[0].get("text", ""),
            turns=[(roles[content["role"]], content["parts"][0]["text"]) for content in body["contents"]],
            max_tokens=config["maxOutputTokens"],
            temperature=config["temperature"],
            schema=schema,
        )


def _system(messages: list[dict[str, str]]) -> str:
    return "\n".join(message["content"] for message in messages if message["role"] == "system")


def _turns(messages: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages if message["role"] != "system"]


PEERS = (OpenAIPeer(), OllamaPeer(), GeminiPeer())
