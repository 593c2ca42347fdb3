"""The socket of the WebSocket chat: reads frames, calls one verb, writes frames."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID

import structlog
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError, InterfaceError
from django.utils.translation import gettext
from redis.exceptions import RedisError

from config import askers
from config.serving import at_once
from llm import conversations, runs
from llm.budgets import BudgetExceeded
from llm.memory import Turn
from llm.shared_state import Away
from ws_chat import conversation, protocol, retrieval, sweeping
from ws_chat.generating import generations
from ws_chat.records import Asked
from ws_chat.tabs import tabs
from ws_chat.watching import Watch

log = structlog.get_logger(__name__)

# Seconds in which what was written last reaches the page when the server stops.
_LAST_WORDS = 1.0


class ChatConsumer(AsyncWebsocketConsumer):
    """One connection of a visitor. It shows their runs; none of them is its own."""

    # Nothing is sent from socket to socket, and a channel layer would cost each socket a blocking read in Redis.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._beginnings: set[asyncio.Task[None]] = set()
        # One task for each run that is shown.
        self._shown: dict[UUID, asyncio.Task[None]] = {}
        # The runs whose end has not been shown.
        self._unended: set[UUID] = set()
        # The run that the greeting named, and the runs that we heard of before it.
        self._named: UUID | None = None
        self._untold: list[UUID] | None = []
        # The run that is being resumed, and whether we heard of it meanwhile.
        self._resuming: UUID | None = None
        self._heard_meanwhile = False
        # The conversation consists of the turns above it.
        self._after: UUID | None = None
        self._watch: Watch | None = None
        # Other pages of the visitor have this one show runs; its own language is in its own context.
        self._context = contextvars.copy_context()
        # Sends a piece where it is written, if the server can do that.
        self._send_at_once: at_once.Send | None = None
        self._refused = 0
        self._resumed = 0
        self._written = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection. Where the server stops, the page sees how its runs end, and is sent elsewhere.

        `disconnect` would be too late: it is not called when the server shuts down. The runs are not ended here: Daphne
        also cancels a connection that is gone and takes its time, and nobody else's answer ends with that one.
        """
        # What Channels does for a consumer without a layer, without its two tasks between a frame and us.
        self.scope, self.base_send = scope, send
        self._send_at_once = at_once.offered(scope)
        try:
            with suppress(StopConsumer):
                while True:
                    await self.dispatch(await receive())
        except asyncio.CancelledError:
            await self._say_goodbye()
            raise
        finally:
            if self._watch is not None:
                self._watch.end()
            if (visitor := scope["visitor_id"]) is not None:
                tabs().leave(visitor, self)
            tasks = [*self._beginnings, *self._shown.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def dispatch(self, message: Any) -> None:
        """Handle what the server says.

        Channels' own goes through a thread first, which closes old connections to the database: a question would wait
        for that thread's turn. Who uses the database here does that itself (`database_sync_to_async`).
        """
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        """Accept a visitor, and send away who has no cookie."""
        await self.accept()
        visitor = self.scope["visitor_id"]  # type: ignore[typeddict-item]
        if visitor is None:
            await self._send(
                protocol.Error(
                    code="no_visitor", message=gettext("Please reload the page, with cookies allowed, and ask again.")
                )
            )
            await self.close(protocol.CLOSE_NO_VISITOR)
            return
        self._visitor: UUID = visitor
        self._asker = await askers.of_socket(self.scope)
        # Now, because a question should wait for nothing but the model.
        self._conversation = conversation.of(visitor)
        self._remembering = self._begin(self._conversation.refresh())
        self._watch = Watch(lambda code: self._begin_close(code), lambda: bool(self._unended))
        tabs().join(visitor, self)
        # Not every server tells its application that it starts.
        sweeping.begin()
        self._begin(self._greet())

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

    def show(self, run: UUID, asked: Asked | None) -> None:
        """Show a run from its beginning, unless the page knows it."""
        if run in self._shown:
            return
        if asked is not None:
            # It has begun here and now.
            self._follow(run, retrieval.show(self._visitor, run, known=asked, send=self._send_at_once))
        elif self._untold is not None:
            # It may be the one that the greeting names, which is the page's to resume: it may have a part of it.
            self._untold.append(run)
        elif run == self._resuming:
            self._heard_meanwhile = True
        elif self._named is None or run > self._named:
            # Ids are in the order of time: what came before the run of the greeting is the page's history.
            self._follow(run, retrieval.show(self._visitor, run, send=self._send_at_once))

    def begin_anew(self, after: UUID) -> None:
        """Tell the page that the conversation begins after a turn, unless it knows."""
        if self._after is None or self._after < after:
            self._after = after
            self._begin(self._show_anew(after))

    async def _handle(self, frame: protocol.ClientFrame) -> None:
        if self._watch is not None and not isinstance(frame, protocol.Ping):
            self._watch.used()
        match frame:
            case protocol.Ask():
                await self._ask(frame)
            case protocol.Resume(run=run, after=after):
                await self._resume(run, after)
            case protocol.Stop(run=run, seen=seen):
                await self._stop(run, seen)
            case protocol.Rate():
                await self._rate(frame)
            case protocol.Clear():
                await self._clear()
            case protocol.Ping():
                await self._send(protocol.Pong())

    async def _refuse(self, refused: protocol.Refused) -> None:
        self._refused += 1
        await self._send(protocol.Error(code=refused.code, message=refused.message, run=refused.run))
        if self._refused >= protocol.MAX_REFUSED:
            await self.close(protocol.CLOSE_MALFORMED)

    async def _ask(self, frame: protocol.Ask) -> None:
        # In this process or, as far as it was told, in another.
        if self._unended:
            raise protocol.Refused.busy()
        if not self._remembering.done():
            # Not for long.
            await asyncio.wait([self._remembering], timeout=conversations.PATIENCE)
        if frame.turn is not None:
            await retrieval.must_be_last(self._visitor, frame.turn, self._conversation.memory)
        await generations().begin(self._asker, self._visitor, frame, self._conversation)

    async def _resume(self, run: UUID, after: int) -> None:
        if (showing := self._shown.get(run)) is not None and not showing.done():
            # Whatever is missing is on its way over this connection.
            return
        self._resumed += 1
        shown = sum(not each.done() for each in self._shown.values())
        if self._resumed > protocol.MAX_RESUMED or shown >= protocol.MAX_SHOWN:
            raise protocol.Refused.too_often(run)
        # Who hears of it meanwhile does not show it from its beginning, of which the page has a part.
        self._resuming, self._heard_meanwhile = run, False
        try:
            frames = await retrieval.resume(self._visitor, run, after, self._send_at_once)
        except protocol.Refused:
            if not self._heard_meanwhile:
                raise
            # It has begun just now: the run log does not have it yet.
            frames = retrieval.show(self._visitor, run, after, send=self._send_at_once)
        finally:
            self._resuming = None
        self._follow(run, frames)

    async def _stop(self, run: UUID, seen: int) -> None:
        await retrieval.info(self._visitor, run)
        try:
            stopped = await runs.log().stop(run, seen)
        except RedisError:
            raise protocol.Refused.unavailable(run) from None
        if not stopped:
            raise protocol.Refused("not_running", gettext("That answer is not being written any more."), run)

    async def _rate(self, frame: protocol.Rate) -> None:
        self._count_write(frame.run)
        await retrieval.rate(self._visitor, frame.run, frame.rating or "", frame.comment)
        await self._send(protocol.Rated(run=frame.run, rating=frame.rating, comment=frame.comment))

    async def _clear(self) -> None:
        if self._unended or generations().running_for(self._visitor) is not None:
            raise protocol.Refused.busy()
        self._count_write()
        try:
            after = await conversation.begin_anew(self._visitor)
        except (DatabaseError, InterfaceError, RedisError, Away):
            raise protocol.Refused.unavailable() from None
        tabs().begin_anew(self._visitor, after)

    def _count_write(self, run: UUID | None = None) -> None:
        self._written += 1
        if self._written > protocol.MAX_WRITTEN:
            raise protocol.Refused.too_often(run)

    def _follow(self, run: UUID, frames: AsyncGenerator[protocol.ServerFrame]) -> None:
        self._unended.add(run)
        self._shown[run] = task = asyncio.create_task(
            self._show(run, frames), name=f"show run {run}", context=self._context.copy()
        )
        task.add_done_callback(self._has_shown)

    def _has_shown(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a run cannot be shown", exc_info=error)
            # Where the page comes back, it resumes.
            self._begin_close(protocol.CLOSE_COME_BACK)

    async def _show(self, run: UUID, frames: AsyncGenerator[protocol.ServerFrame]) -> None:
        """Send the frames of a run, up to its end."""
        async with aclosing(frames):
            async for frame in frames:
                if isinstance(frame, protocol.End):
                    await self._note_end(frame)
                if not await self._deliver(frame):
                    return

    async def _note_end(self, frame: protocol.End) -> None:
        if generations().find(frame.run) is None and frame.text and frame.outcome != "error":
            # Of another process: the next question here is to know of it.
            asked = await retrieval.asked(self._visitor, frame.run)
            self._conversation.add(Turn(str(asked.turn), asked.question, frame.text))
        self._unended.discard(frame.run)

    async def _greet(self) -> None:
        latest = await retrieval.latest(self._visitor)
        self._named, self._after = latest.run, latest.after
        await self._deliver(protocol.Ready(run=latest.run, after=latest.after))
        heard, self._untold = self._untold or [], None
        for run in heard:
            self.show(run, None)

    async def _show_anew(self, after: UUID) -> None:
        # Of another page's, perhaps in another process.
        await self._conversation.refresh()
        await self._deliver(protocol.Cleared(after=after))

    async def _say_goodbye(self) -> None:
        """Let the page see the ends of its runs, and tell it to come back, perhaps to another process."""
        if shown := [task for task in self._shown.values() if not task.done()]:
            await asyncio.wait(shown, timeout=_LAST_WORDS)
        try:
            await self.close(protocol.CLOSE_COME_BACK)
        except Exception as error:
            log.info("the connection is gone", error=type(error).__name__)

    def _begin_close(self, code: int) -> None:
        log.info("a connection is closed", code=code)
        self._begin(self.close(code))

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, context=self._context.copy())
        self._beginnings.add(task)
        task.add_done_callback(self._beginnings.discard)
        return task

    async def _deliver(self, frame: protocol.ServerFrame) -> bool:
        """Send a frame of a run; returns whether there is still a connection.

        It may be gone before `disconnect` tells us, and what is raised then depends on the server: the ASGI
        specification says OSError, Daphne has an exception of its own.
        """
        try:
            await self._send(frame)
        except Exception as error:
            log.info("the connection is gone", error=type(error).__name__)
            return False
        return True

    async def _send(self, frame: protocol.ServerFrame) -> None:
        # What Channels' own `send` does, without the layers in between: this is done for each token.
        message: Any = {"type": "websocket.send", "text": protocol.encode(frame)}
        if self._watch is None:
            return await self.base_send(message)
        self._watch.send_begins()
        try:
            await self.base_send(message)
        finally:
            self._watch.send_ends()
