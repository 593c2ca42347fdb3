"""The socket of the WebSocket chat: reads frames, calls one verb, writes frames."""

import asyncio
from contextlib import aclosing
from typing import Any

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from config import askers
from llm import budgets, conversations, markdown
from llm.budgets import BudgetExceeded
from ws_chat import answers, audit, conversation, protocol
from ws_chat.answers import Answer
from ws_chat.models import Status

log = structlog.get_logger(__name__)


class ChatConsumer(AsyncWebsocketConsumer):
    """One connection, with at most one answer being streamed."""

    # Nothing is sent from socket to socket, and a channel layer would cost each socket a blocking read in Redis.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._remembering: asyncio.Task[None] | None = None
        self._answer: Answer | None = None
        self._streaming: asyncio.Task[None] | None = None
        self._runs: set[asyncio.Task[None]] = set()
        self._refused = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection; an answer that is unfinished at its end is recorded as interrupted.

        `disconnect` would be too little: it is not called when the server shuts down.
        """
        try:
            await super().__call__(scope, receive, send)
        finally:
            for task in (self._streaming, self._remembering):
                if task is not None:
                    task.cancel()
            if self._runs:
                await asyncio.wait(self._runs)

    async def connect(self) -> None:
        """Accept a visitor, and send away who has no cookie."""
        await self.accept()
        if self.scope["visitor_id"] is None:  # type: ignore[typeddict-item]
            await self._send(
                protocol.Error(
                    code="no_visitor", message="Please reload the page, with cookies allowed, and ask again."
                )
            )
            await self.close(protocol.CLOSE_NO_VISITOR)
            return
        self._asker = await askers.of_socket(self.scope)
        # Now, because a question should wait for nothing but the model.
        self._conversation = conversation.of(self.scope["visitor_id"])  # type: ignore[typeddict-item]
        self._remembering = asyncio.create_task(self._conversation.refresh())
        await self._send(protocol.Ready())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle one frame."""
        try:
            await self._handle(protocol.read(text_data))
        except protocol.Refused as refused:
            await self._refuse(refused)
        except BudgetExceeded as exceeded:
            frame = protocol.Error(code=exceeded.code, message=exceeded.public, retry_after=exceeded.retry_after)
            await self._send(frame)
        else:
            self._refused = 0

    async def _handle(self, frame: protocol.ClientFrame) -> None:
        match frame:
            case protocol.Ask(text=text):
                await self._ask(text)
            case protocol.Stop(run=run, seen=seen):
                if self._answer is None or self._streaming is None or self._answer.run != run:
                    raise protocol.Refused("not_running", "That answer is not being written any more.")
                self._answer.stop(seen)
                self._streaming.cancel()
            case protocol.Ping():
                await self._send(protocol.Pong())

    async def _refuse(self, refused: protocol.Refused) -> None:
        self._refused += 1
        await self._send(protocol.Error(code=refused.code, message=refused.message))
        if self._refused >= protocol.MAX_REFUSED:
            await self.close(protocol.CLOSE_MALFORMED)

    async def _ask(self, text: str) -> None:
        if self._answer is not None:
            raise protocol.Refused("busy", "An answer is still being written. Wait for its end, or stop it.")
        visitor_id = self.scope["visitor_id"]  # type: ignore[typeddict-item]
        await self._remember()
        answer = Answer(visitor_id, text, self._conversation.prompt(text))
        await budgets.reserve(self._asker, str(answer.run), answer.most_tokens)
        self._answer = answer
        await self._send(protocol.Started(run=answer.run))
        # Receiving must go on while the answer streams: a stop or a disconnect has to be noticed.
        self._streaming = asyncio.create_task(self._stream(answer))
        run = asyncio.create_task(self._finish(answer, self._streaming))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    async def _stream(self, answer: Answer) -> None:
        with answer.meter.running():
            await self._pass_on(answer)

    async def _pass_on(self, answer: Answer) -> None:
        async with aclosing(answer.stream()) as pieces:
            async for piece in pieces:
                if not await self._deliver(protocol.Delta(run=answer.run, **piece._asdict())):
                    return answer.interrupt()

    async def _finish(self, answer: Answer, streaming: asyncio.Task[None]) -> None:
        """Wait for the end, whatever it is, say so and record it. This task is never cancelled."""
        await asyncio.wait([streaming])
        if streaming.cancelled():
            answer.interrupt()
        elif streaming.exception() is not None:
            log.error("an answer broke off", run=str(answer.run), exc_info=streaming.exception())
            answer.fail(answers.UNEXPECTED)
        self._answer = None
        if (turn := conversation.turn_of(answer)) is not None:
            self._conversation.add(turn)
        if answer.status is not Status.INTERRUPTED:
            await self._deliver(_end_of(answer))
        await audit.record(answer)
        await budgets.settle(str(answer.run), answer.meter.tokens)
        await self._conversation.save()

    async def _remember(self) -> None:
        """Wait, but not for long, until the earlier conversation is known."""
        if self._remembering is not None:
            await asyncio.wait([self._remembering], timeout=conversations.PATIENCE)

    async def _deliver(self, frame: protocol.ServerFrame) -> bool:
        """Send a frame of a run; returns whether there is still a connection.

        It may be gone before `disconnect` tells us, and what is raised then depends on the server: the ASGI
        specification says OSError, Daphne has an exception of its own.
        """
        text = frame.model_dump_json()
        try:
            await self.send(text_data=text)
        except Exception as error:
            log.info("the connection is gone", error=type(error).__name__)
            return False
        return True

    async def _send(self, frame: protocol.ServerFrame) -> None:
        await self.send(text_data=frame.model_dump_json())


def _end_of(answer: Answer) -> protocol.End:
    return protocol.End(
        run=answer.run,
        seq=answer.seq,
        outcome=answer.status.value,
        text=answer.text,
        html=markdown.render(answer.text),
        error=answer.error,
        usage=protocol.Usage(
            prompt_tokens=answer.usage.prompt_tokens, completion_tokens=answer.usage.completion_tokens
        ),
        provider=answer.provider,
        model=answer.model,
        fallback=answer.fallback,
        timings=protocol.Timings(first_token_ms=answer.first_token_ms, total_ms=answer.total_ms),
    )
