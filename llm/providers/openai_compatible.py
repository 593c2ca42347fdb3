"""OpenAI's chat completions, which vLLM, llama.cpp's server and many others speak too."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from llm import errors
from llm.providers import kept
from llm.providers.base import CONNECT, SILENCE, describe, keep_contract
from llm.types import Chunk, FinishReason, Request, Usage

# What the `code` or `type` of an error says more exactly than its status: OpenAI's words, Azure's, llama.cpp's.
_BY_CODE: dict[str, type[errors.LLMError]] = {
    "context_length_exceeded": errors.TooLong,
    "exceed_context_size_error": errors.TooLong,
    "content_filter": errors.Refused,
    "content_policy_violation": errors.Refused,
    # A status of 429, but waiting does not fill an account.
    "insufficient_quota": errors.Rejected,
}


class OpenAICompatible:
    """A server that speaks `/chat/completions`."""

    def __init__(
        self, *, name: str, model: str, base_url: str, api_key: str = "none", silence_seconds: float = SILENCE
    ) -> None:
        self.name = name
        self.model = model
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            # Retries are the chain's business, which knows the deadline.
            max_retries=0,
            timeout=openai.Timeout(silence_seconds, connect=CONNECT),
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [kept.follow]}),
        )

    def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the answer in pieces."""
        return keep_contract(partial(self._pieces, request), self.name, self._translate)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _pieces(self, request: Request) -> AsyncGenerator[Chunk]:
        finish: FinishReason | None = None
        usage = Usage()
        model = self.model
        async with await self._client.chat.completions.create(**self._arguments(request)) as parts:
            async for part in parts:
                model = _short(part.model) or model
                usage = _usage(part) or usage
                for choice in part.choices[:1]:
                    finish = self._finish(choice.finish_reason) or finish
                    if choice.delta.refusal:
                        raise errors.Refused("the model declined", provider=self.name)
                    yield Chunk(choice.delta.content or "")
        if finish is not None:
            yield Chunk(finish=finish, usage=usage, provider=self.name, model=model)

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.answer_schema is not None:
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": dict(request.answer_schema)},
            }
        return arguments

    def _finish(self, reason: str | None) -> FinishReason | None:
        if reason == "content_filter":
            raise errors.Refused("the content filter withheld the answer", provider=self.name)
        if reason is None:
            return None
        return "length" if reason == "length" else "stop"

    def _translate(self, error: Exception, begun: bool) -> errors.LLMError:
        if isinstance(error, openai.APITimeoutError):
            return errors.TimedOut("no answer in time", provider=self.name)
        if isinstance(error, openai.APIStatusError):
            return self._from_response(error)
        if isinstance(error, openai.APIConnectionError):
            return kept.loss(error.request, begun)(describe(error), provider=self.name)
        if isinstance(error, openai.APIError):
            return _by_code(error)("an error inside the stream", provider=self.name)
        return errors.BrokenAnswer(f"unreadable stream ({describe(error)})", provider=self.name)

    def _from_response(self, error: openai.APIStatusError) -> errors.LLMError:
        detail = f"HTTP {error.status_code}"
        exact = _by_code(error)
        if exact is not errors.ProviderFault:
            return exact(detail, provider=self.name)
        return errors.from_status(
            error.status_code, detail, provider=self.name, retry_after=error.response.headers.get("retry-after")
        )


def _by_code(error: openai.APIError) -> type[errors.LLMError]:
    return _BY_CODE.get(str(error.code)) or _BY_CODE.get(str(error.type)) or errors.ProviderFault


def _usage(part: ChatCompletionChunk) -> Usage | None:
    return Usage(part.usage.prompt_tokens, part.usage.completion_tokens) if part.usage else None


def _short(model: str) -> str:
    """Some servers answer with the path of the model's file."""
    return model.replace("\\", "/").rpartition("/")[2]
