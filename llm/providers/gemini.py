"""Gemini, through google-generativeai.

That package is no longer developed and its asynchronous clients break on a second event loop (gRPC) or raise
TypeError (REST). Its synchronous REST stream is incremental, so each answer is read by a thread of its own, which the
event loop can hang up on. The package's `GenerativeModel` holds each piece back until the next one has arrived, so
the thread reads from the client beneath it.
"""

import asyncio
import threading
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from llm import errors
from llm.providers.base import CONNECT, SILENCE, describe, keep_contract
from llm.providers.gemini_schema import convert
from llm.types import Chunk, FinishReason, Request, Usage

if TYPE_CHECKING:
    import requests

_FINISH: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}
_WITHHELD = frozenset({"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"})


class Gemini:
    """The Gemini API."""

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        endpoint: str | None = None,
        name: str = "gemini",
        silence_seconds: float = SILENCE,
    ) -> None:
        self.name = name
        self.model = model
        self._api_key = api_key
        self._endpoint = endpoint
        self._silence = silence_seconds
        self._client: Any = None
        self._making = threading.Lock()

    def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the answer in pieces."""
        return keep_contract(partial(self._pieces, request), self.name, self._translate)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.transport.close()

    async def _pieces(self, request: Request) -> AsyncGenerator[Chunk]:
        # Loaded with the SDK, which takes a second and should not cost that to those who do not use it.
        from llm.providers.hangup import Call

        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Any] = asyncio.Queue()
        call = Call()

        def put(piece: object) -> None:
            # A closed loop has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        threading.Thread(target=self._read, args=(call, request, put), name=self.name, daemon=True).start()
        finished = False
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                for chunk in self._take_apart(piece):
                    finished = chunk.finish is not None
                    yield chunk
        finally:
            # After the end mark the thread reads what little remains, and the connection serves the next answer.
            if not finished:
                call.hang_up()

    def _read(self, call: Any, request: Request, put: Callable[[object], None]) -> None:
        """Read one answer, in a thread: its parts, then None or the error."""
        call.begin()
        try:
            parts = self._connected().stream_generate_content(self._message(request), timeout=None, retry=None)
            try:
                for part in parts:
                    put(part)
            finally:
                parts.cancel()
            put(None)
        except Exception as error:
            put(error)

    def _connected(self) -> Any:
        """Return the API client, made by the first thread that needs it; threads share its connections."""
        with self._making:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        _load_sdk()
        from google.ai.generativelanguage import GenerativeServiceClient

        from llm.providers.hangup import Adapter

        options = {"api_key": self._api_key} | ({"api_endpoint": self._endpoint} if self._endpoint else {})
        client = GenerativeServiceClient(transport="rest", client_options=options)
        session: Any = client.transport._session  # type: ignore[attr-defined]
        for scheme in ("https://", "http://"):
            session.mount(scheme, Adapter(connect=CONNECT, silence=self._silence))
        # A streaming method states its errors in an array, on which the SDK's own reader stumbles. And a 401 must
        # not reach the session, which would try to refresh the key and ask again, twice.
        session.hooks["response"].append(self._check_status)
        return client

    def _message(self, request: Request) -> Any:
        protos = _load_sdk().protos

        def content(role: str, *texts: str) -> Any:
            return protos.Content(role=role, parts=[protos.Part(text=text) for text in texts])

        generation: dict[str, Any] = {"max_output_tokens": request.max_tokens, "temperature": request.temperature}
        if request.answer_schema is not None:
            generation["response_mime_type"] = "application/json"
            schema = convert(request.answer_schema)
            generation |= {"response_schema": schema} if schema else {}
        system = [message.content for message in request.messages if message.role == "system"]
        return protos.GenerateContentRequest(
            model=self.model if "/" in self.model else f"models/{self.model}",
            contents=[
                content("model" if message.role == "assistant" else "user", message.content)
                for message in request.messages
                if message.role != "system"
            ],
            system_instruction=content("user", *system) if system else None,
            generation_config=generation,
        )

    def _take_apart(self, part: Any) -> list[Chunk]:
        """Turn a response into chunks; its own `.text` would raise where there are no parts."""
        if part.prompt_feedback.block_reason:
            raise errors.Refused("the safety filter blocked the question", provider=self.name)
        if not part.candidates:
            return []
        candidate = part.candidates[0]
        reason = candidate.finish_reason.name
        if reason in _WITHHELD:
            raise errors.Refused(f"the answer was withheld ({reason.lower()})", provider=self.name)
        chunks = [Chunk("".join(piece.text for piece in candidate.content.parts))]
        if reason in _FINISH:
            usage = Usage(part.usage_metadata.prompt_token_count, part.usage_metadata.candidates_token_count)
            chunks.append(
                Chunk(finish=_FINISH[reason], usage=usage, provider=self.name, model=part.model_version or self.model)
            )
        return chunks

    def _check_status(self, response: "requests.Response", **_: Any) -> None:
        """Raise the error that an answer's status and body state."""
        status = response.status_code
        if status < 400:
            return
        with closing(response):
            error = _stated_error(response)
        if "exceeds the maximum number of tokens" in str(error.get("message")):
            raise errors.TooLong(f"HTTP {status}", provider=self.name)
        # google.rpc.RetryInfo states the wait as "34s".
        delays = (str(detail["retryDelay"]).removesuffix("s") for detail in error["details"] if "retryDelay" in detail)
        wait = response.headers.get("Retry-After") or next(delays, None)
        raise errors.from_status(status, f"HTTP {status}", provider=self.name, retry_after=wait)

    def _translate(self, error: Exception, begun: bool) -> errors.LLMError:
        from requests import exceptions
        from urllib3.exceptions import ReadTimeoutError

        # Silence in the middle of a body comes as a ConnectionError around urllib3's own error.
        if isinstance(error, exceptions.Timeout) or isinstance(next(iter(error.args), None), ReadTimeoutError):
            return errors.TimedOut("no answer in time", provider=self.name)
        if isinstance(error, exceptions.ConnectionError | exceptions.ChunkedEncodingError):
            lost = errors.BrokenAnswer if begun else errors.Unreachable
            return lost(describe(error), provider=self.name)
        return errors.BrokenAnswer(f"unreadable stream ({describe(error)})", provider=self.name)


def _stated_error(response: "requests.Response") -> dict[str, Any]:
    """Return the google.rpc.Status of an error's body, empty where it holds none."""
    try:
        document = response.json()
        error = (document[0] if isinstance(document, list) else document)["error"]
        details = [detail for detail in error.get("details", ()) if isinstance(detail, dict)]
        return {"message": error.get("message"), "details": details}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {"details": []}


def _load_sdk() -> Any:
    """Import the package, which announces its own end and that of old Pythons at import."""
    # A filter, not `catch_warnings`: that would race with the other threads.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.|llm\.providers\.gemini")
    import google.generativeai

    return google.generativeai
