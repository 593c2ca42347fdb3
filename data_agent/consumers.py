"""The WebSocket of the data agent: parses frames, calls one verb, sends what came of it."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from config import addresses, askers
from config.observability import correlation
from config.observability.logs import texts
from config.sentences import say
from config.translating import translated
from data_agent import access, checking, drafting, history, outcomes, proposals, protocol, sharing, verified
from data_agent.audit import Person
from data_agent.connections import Ahead
from data_agent.errors import DataAgentError, NotAllowed, NotFound
from data_agent.following import Following
from data_agent.models import State, Step
from data_agent.prompts import Asked
from data_agent.protocol import (
    Approve,
    Ask,
    BadFrame,
    Check,
    Edit,
    Error,
    Open,
    Ping,
    Pong,
    Reject,
    Reply,
    Shared,
    Sharing,
    Skip,
    Stop,
    Verify,
    Working,
)
from data_agent.step_data import StepData
from llm import budgets
from llm.budgets import BudgetExceeded
from llm.meter import Meter

log = structlog.get_logger(__name__)

T = TypeVar("T")

_NOT_SIGNED_IN = say("Sign in to use the data agent, then reload the page.")
_NOT_ALLOWED = say("Your account may not use the data agent. Ask an administrator for the permission.")


class DataAgentConsumer(AsyncWebsocketConsumer):
    """One analyst's page. It works on one thing at a time; the state is in the database."""

    person: Person
    _work: asyncio.Task[None] | None = None
    # Whether that is done in a moment: it asks no model and runs no query.
    _brief = False
    _checks: checking.Checks | None = None
    _bad_frames = 0
    # Channels' own way of listening would end the connection with Redis; see `following`.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ahead = Ahead()
        self._following = Following(self._show_again)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection; whatever way it ends, what is being worked on ends with it.

        Daphne cancels a connection that takes its time to end: the rest is ended all the same.
        """
        async with contextlib.AsyncExitStack() as ending:
            ending.push_async_callback(self._ahead.aclose)
            ending.push_async_callback(self._cancel)
            ending.push_async_callback(self._following.aclose)
            ending.push_async_callback(self._stop_checking)
            await super().__call__(scope, receive, send)

    async def connect(self) -> None:
        """Let users with the permission in; tell others why not, and close."""
        await self.accept()
        user = self.scope["user"]
        if user is None or not user.is_authenticated:
            await self._refuse("not_signed_in", _NOT_SIGNED_IN, protocol.CLOSE_NOT_SIGNED_IN)
        elif (person := await access.person_now(user.pk, addresses.of_scope(self.scope))) is None:
            await self._refuse("not_allowed", _NOT_ALLOWED, protocol.CLOSE_NOT_ALLOWED)
        else:
            self._asker = askers.of_account(user, self.scope)
            self.person = person
            self._checks = checking.Checks(self._verdict)

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
            await self._complain(error.code, error.sentence)
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
                await self._guarded(lambda: self._open(frame))
            case Sharing():
                await self._guarded(lambda: self._share(frame))
            case Check():
                if self._checks is not None:
                    self._checks.put(frame)
            case _ if self._working() and not self._brief:
                busy = say("The question before is still being worked on. Wait for it, or stop it.")
                await self._complain("busy", busy)
            case _:
                if isinstance(frame, Approve):
                    # While the approval is written, if there is none from before.
                    self._ahead.prepare(personal=self.person.personal)
                self._start(frame)

    async def _decide(self, frame: protocol.ClientFrame) -> None:
        match frame:
            case Ask():
                await self._propose(frame.text, session_id=frame.session)
            case Reply():
                replied = await self._step(lambda: proposals.reply(self.person, frame.step, frame.text))
                await self._propose(replied.question, after=replied)
            case Edit():
                await self._edit(frame)
            case Approve():
                await self._approve(frame)
            case Reject():
                await self._reject(frame)
            case Skip():
                await self._step(lambda: proposals.skip(self.person, frame.step))
            case Verify():
                mark = verified.mark if frame.type == "verify" else verified.unmark
                await self._step(lambda: mark(self.person, frame.step))

    async def _open(self, frame: Open) -> None:
        session, found = await history.history(self.person, frame.session)
        # Before it is shown: what the page followed until now may not be shown after it.
        if session is None:
            self._following.leave()
        else:
            self._following.follow(session.pk)
        await self._send(protocol.ready(session, found, self.person))
        if session is not None and session.owner_id == self.person.id:
            self._expect_approval(found)

    async def _show_again(self, session_id: uuid.UUID) -> None:
        """Show a conversation that another page changed; one that may no longer be read is said not to be there."""

        async def show() -> None:
            try:
                await self._open(Open(type="open", session=session_id))
            except NotFound as error:
                await self._complain(error.code, error.sentence)
                self._following.leave()

        await self._guarded(show)

    async def _share(self, frame: Sharing) -> None:
        change = sharing.share if frame.type == "share" else sharing.unshare
        names = await change(self.person, frame.session, frame.person)
        self._following.tell(frame.session)
        await self._send(Shared(session=frame.session, shared_with=names))

    async def _verdict(self, frame: Check) -> None:
        await self._guarded(lambda: self._send_verdict(frame))

    async def _send_verdict(self, frame: Check) -> None:
        await self._send(await checking.verdict(self.person, frame))

    async def _propose(
        self, question: str, *, session_id: uuid.UUID | None = None, feedback: str = "", after: Step | None = None
    ) -> None:
        key, meter = str(uuid.uuid4()), Meter()
        await budgets.reserve(self._asker, key, drafting.most_tokens(Asked(question, feedback)))

        async def propose() -> Step:
            try:
                with meter.running():
                    return await proposals.propose(
                        self.person, question, session_id=session_id, feedback=feedback, after=after
                    )
            finally:
                await budgets.settle(key, meter.tokens)

        await self._send(Working(what="proposing"))
        await self._step(propose)

    async def _edit(self, frame: Edit) -> None:
        await self._send(Working(what="checking"))
        await self._step(lambda: proposals.edit(self.person, frame.step, frame.sql))

    async def _approve(self, frame: Approve) -> None:
        # Who leaves now does not leave it approved: what was written is known only when that is done.
        approving = asyncio.ensure_future(proposals.approve(self.person, frame.step, frame.sha256))
        try:
            await self._run(await self._step(lambda: asyncio.shield(approving)))
        except asyncio.CancelledError:
            await asyncio.shield(outcomes.end(self.person, (await approving).pk))
            raise

    async def _run(self, step: Step) -> None:
        await self._send(Working(what="running"))
        step = await self._step(lambda: outcomes.run_approved(self.person, step, self._ahead))
        if step.state == State.EXECUTED:
            await self._send(Working(what="answering"))
            for each in await self._metered(lambda: outcomes.conclude(self.person, step.pk)):
                await self._send_step(each)
        elif outcomes.can_mend(step):
            await self._send(Working(what="proposing"))
            await self._send_step(await self._metered(lambda: outcomes.mend(self.person, step)))

    async def _metered(self, verb: Callable[[], Awaitable[T]]) -> T:
        """Ask a model for what was let in already: it counts, but is not refused."""
        meter = Meter()
        try:
            with meter.running():
                return await verb()
        finally:
            await budgets.charge(self._asker, meter.tokens)

    async def _reject(self, frame: Reject) -> None:
        reason = frame.reason.strip()
        step = await self._step(lambda: proposals.reject(self.person, frame.step, reason))
        if reason:
            await self._propose(step.question, feedback=reason, after=step)

    async def _step(self, verb: Callable[[], Awaitable[Step]]) -> Step:
        step = await verb()
        await self._send_step(step)
        return step

    async def _send_step(self, step: Step) -> None:
        self._expect_approval([step])
        log.info(
            "step",
            step=str(step.pk),
            session=str(step.session_id),
            state=step.state,
            **texts(question=step.question, sql=step.sql, answer=step.answer),
        )
        await self._send(protocol.StepChanged(step=StepData.of(step, self.person)))
        self._following.follow(step.session_id)
        self._following.tell(step.session_id)

    def _expect_approval(self, shown: list[Step]) -> None:
        """Open a connection ahead where a query is before the person; it may be approved any moment."""
        if any(step.state == State.PROPOSED for step in shown):
            self._ahead.prepare(personal=self.person.personal)

    def _working(self) -> bool:
        return self._work is not None and not self._work.done()

    def _start(self, frame: protocol.ClientFrame) -> None:
        # In a task of its own, so that the next frame (stop, ping) and the end of the connection are seen meanwhile.
        before = self._work if self._working() else None
        self._brief = isinstance(frame, Skip | Verify) or (isinstance(frame, Reject) and not frame.reason.strip())
        with correlation.bound(trace_id=uuid.uuid4()):
            self._work = asyncio.create_task(self._after(before, frame))

    async def _after(self, before: asyncio.Task[None] | None, frame: protocol.ClientFrame) -> None:
        if before is not None:
            await before
        await self._guarded(lambda: self._decide(frame))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work if the person still may, and send what a person should know of its failure."""
        try:
            person = await access.person_now(self.person.id, self.person.address)
            if person is None:
                raise NotAllowed(_NOT_ALLOWED)
            self.person = person
            await work()
        except BudgetExceeded as error:
            await self._send(Error(code=error.code, message=error.public, retry_after=error.retry_after))
        except DataAgentError as error:
            await self._complain(error.code, error.sentence)
        except Exception:
            log.exception("the data agent failed", person=self.person.id)
            await self._complain("internal", say("Something went wrong on our side. Please try again."))

    async def _stop_checking(self) -> None:
        if self._checks is not None:
            await self._checks.aclose()

    async def _cancel(self) -> None:
        work = self._work
        if work is not None and not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def _refuse(self, code: str, sentence: str, close_code: int) -> None:
        await self._complain(code, sentence)
        await self.close(close_code)

    async def _complain(self, code: str, sentence: str) -> None:
        await self._send(Error(code=code, message=translated(sentence)))

    async def _send(self, frame: protocol.ServerFrame) -> None:
        await self.send(frame.model_dump_json())
