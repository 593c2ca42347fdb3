"""The WebSocket of the data agent: parses frames, calls one verb, sends what came of it."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from config import addresses, askers
from data_agent import access, drafting, proposals, protocol
from data_agent.audit import Person
from data_agent.errors import DataAgentError, NotAllowed
from data_agent.models import State, Step
from data_agent.protocol import Approve, Ask, BadFrame, Edit, Error, Open, Ping, Pong, Reject, Skip, Stop, Working
from llm import budgets
from llm.budgets import BudgetExceeded
from llm.meter import Meter

log = structlog.get_logger(__name__)

_NOT_SIGNED_IN = Error(code="not_signed_in", message="Sign in to use the data agent, then reload the page.")
_NOT_ALLOWED = Error(
    code="not_allowed", message="Your account may not use the data agent. Ask an administrator for the permission."
)


class DataAgentConsumer(AsyncWebsocketConsumer):
    """One analyst's page. It works on one thing at a time; the state is in the database."""

    person: Person
    _work: asyncio.Task[None] | None = None
    _bad_frames = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection; whatever way it ends, what is being worked on ends with it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._cancel()

    async def connect(self) -> None:
        """Let users with the permission in; tell others why not, and close."""
        await self.accept()
        user = self.scope["user"]
        if user is None or not user.is_authenticated:
            await self._refuse(_NOT_SIGNED_IN, protocol.CLOSE_NOT_SIGNED_IN)
        elif not await access.may_still_use(user.pk):
            await self._refuse(_NOT_ALLOWED, protocol.CLOSE_NOT_ALLOWED)
        else:
            self._asker = askers.of_account(user, self.scope)
            self.person = Person(user.pk, user.get_username(), addresses.of_scope(self.scope))

    async def disconnect(self, code: int) -> None:
        """End what is being worked on."""
        await self._cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle a frame; one that cannot be used is answered with an error."""
        if not hasattr(self, "person"):
            return
        try:
            frame = protocol.parse(text_data)
            self._bad_frames = 0
            await self._handle(frame)
        except BadFrame as error:
            await self._send(Error(code=error.code, message=str(error)))
            self._bad_frames += 1
            if self._bad_frames >= protocol.MAX_BAD_FRAMES:
                await self.close(protocol.CLOSE_BAD_FRAMES)

    async def _handle(self, frame: protocol.ClientFrame) -> None:
        match frame:
            case Ping():
                await self._send(Pong())
            case Stop():
                await self._cancel()
            case Open():
                await self._guarded(self._open(frame))
            case _ if self._work is not None and not self._work.done():
                busy = "The question before is still being worked on. Wait for it, or stop it."
                await self._send(Error(code="busy", message=busy))
            case Ask():
                self._start(self._propose(frame.text, session_id=frame.session))
            case Edit():
                self._start(self._edit(frame))
            case Approve():
                self._start(self._approve(frame))
            case Reject():
                self._start(self._reject(frame))
            case Skip():
                self._start(self._step(lambda: proposals.skip(self.person, frame.step)))

    async def _open(self, frame: Open) -> None:
        session, steps = await proposals.history(self.person, frame.session)
        await self._send(protocol.ready(session, steps))

    async def _propose(self, question: str, *, session_id: uuid.UUID | None, feedback: str = "") -> None:
        key, meter = str(uuid.uuid4()), Meter()
        await budgets.reserve(self._asker, key, drafting.most_tokens(question, feedback))

        async def propose() -> Step:
            try:
                with meter.running():
                    return await proposals.propose(self.person, question, session_id=session_id, feedback=feedback)
            finally:
                await budgets.settle(key, meter.tokens)

        await self._send(Working(what="proposing"))
        await self._step(propose)

    async def _edit(self, frame: Edit) -> None:
        await self._send(Working(what="checking"))
        await self._step(lambda: proposals.edit(self.person, frame.step, frame.sql))

    async def _approve(self, frame: Approve) -> None:
        step = await self._step(lambda: proposals.approve(self.person, frame.step, frame.sha256))
        await self._send(Working(what="running"))
        step = await self._step(lambda: proposals.run(self.person, step.pk))
        if step.state == State.EXECUTED:
            await self._answer(step)

    async def _answer(self, step: Step) -> None:
        meter = Meter()

        async def answer() -> Step:
            try:
                with meter.running():
                    return await proposals.answer(self.person, step.pk)
            finally:
                # The question was let in; its answer counts, but is not refused.
                await budgets.charge(self._asker, meter.tokens)

        await self._send(Working(what="answering"))
        await self._step(answer)

    async def _reject(self, frame: Reject) -> None:
        reason = frame.reason.strip()
        step = await self._step(lambda: proposals.reject(self.person, frame.step, reason))
        if reason:
            await self._propose(step.question, session_id=step.session_id, feedback=reason)

    async def _step(self, verb: Callable[[], Awaitable[Step]]) -> Step:
        step = await verb()
        await self._send(protocol.StepChanged(step=protocol.StepData.of(step)))
        return step

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        # In a task of its own, so that the next frame (stop, ping) and the end of the connection are seen meanwhile.
        self._work = asyncio.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        """Do the work if the person still may, and send what a person should know of its failure."""
        try:
            if not await access.may_still_use(self.person.id):
                raise NotAllowed(_NOT_ALLOWED.message)
            await work
        except BudgetExceeded as error:
            await self._send(Error(code=error.code, message=error.public, retry_after=error.retry_after))
        except DataAgentError as error:
            await self._send(Error(code=error.code, message=str(error)))
        except Exception:
            log.exception("the data agent failed", person=self.person.id)
            message = "Something went wrong on our side. Please try again."
            await self._send(Error(code="internal", message=message))
        finally:
            work.close()

    async def _cancel(self) -> None:
        work = self._work
        if work is not None and not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def _refuse(self, error: Error, code: int) -> None:
        await self._send(error)
        await self.close(code)

    async def _send(self, frame: protocol.ServerFrame) -> None:
        await self.send(frame.model_dump_json())
