"""Answers being written, by tasks that belong to the process: no socket that comes or goes touches them."""

import asyncio
from contextlib import aclosing
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog

from config.observability import correlation, tracing
from config.observability.logs import texts
from config.serving import draining
from llm import budgets, metrics, registry, runs
from llm.budgets import Asker
from llm.conversations import Conversation
from llm.errors import LLMError
from llm.runs import RunFull
from llm.timelines import marks
from ws_chat import answers, conversation, protocol
from ws_chat.answers import Answer
from ws_chat.audit import recorder
from ws_chat.models import Status
from ws_chat.records import Asked
from ws_chat.register import register
from ws_chat.tabs import tabs

log = structlog.get_logger(__name__)

# Seconds that the runs of a process have to end when it is told to stop.
_DRAIN = 4.0
_ABOUT = {"triptych.chat": "websocket"}


class Generation:
    """One answer on its way, from the question to its row."""

    def __init__(self, answer: Answer, talk: Conversation) -> None:
        self.answer = answer
        self._conversation = talk
        self.writer = runs.log().open(answer.run, owner=str(answer.visitor_id), on_stop=self.interrupt)
        with correlation.bound(run=answer.run, trace_id=answer.trace_id):
            self._writing = asyncio.create_task(self._write(), name=f"run {answer.run}")
            self.finished = asyncio.create_task(self._finish(), name=f"end of run {answer.run}")

    def interrupt(self) -> None:
        """End the answer here. What the model is doing for it ends at once."""
        self._writing.cancel()

    async def _write(self) -> None:
        answer = self.answer
        with tracing.span("answer", answer.trace_id), answer.meter.running():
            try:
                async with aclosing(registry.chain("chat").stream(answer.request)) as chunks:
                    noted = False
                    async for chunk in chunks:
                        answer.note(chunk)
                        self.writer.write(chunk.text, restart=chunk.restart)
                        if not noted:
                            noted = True
                            register().note(answer.record(""))
            except RunFull:
                log.warning("an answer was cut at its greatest length", run=str(answer.run))
            except LLMError as error:
                answer.provider = answer.provider or error.provider
                answer.fail(error.public)
            answer.end(Status.DONE)
            tracing.say(answer.status.value, failed=answer.status is Status.ERROR)

    async def _finish(self) -> None:
        """Wait for the end, whatever it is, say so and record it. This task is never cancelled."""
        await asyncio.wait([self._writing])
        answer, writer = self.answer, self.writer
        if writer.seen is not None:
            answer.end(Status.STOPPED)
        elif self._writing.cancelled():
            answer.end(Status.INTERRUPTED)
        elif (error := self._writing.exception()) is not None:
            log.error("an answer broke off", run=str(answer.run), exc_info=error)
            answer.fail(answers.UNEXPECTED)
        if writer.seen is not None and answer.status is Status.DONE:
            # It was complete when they stopped it, but they had not seen all of it.
            answer.status = Status.STOPPED
        record = answer.record(writer.text)
        if (turn := conversation.turn_of(record)) is not None:
            self._conversation.add(turn)
        writer.end(record.status.value, record.facts)
        recorder().put(record)
        marks.note(answer.trace_id, **record.marks)
        metrics.note_end(
            "websocket",
            record.status.value,
            record.provider,
            first_token_seconds=None if record.first_token_ms is None else record.first_token_ms / 1000,
            total_seconds=record.total_ms / 1000,
        )
        log.info(
            "run ended",
            run=str(answer.run),
            status=answer.status,
            provider=answer.provider,
            first_token_ms=answer.first_token_ms,
            total_ms=answer.total_ms,
            **texts(question=answer.question, answer=writer.text),
        )
        await budgets.settle(str(answer.run), answer.meter.tokens)
        await self._conversation.save()


class Generations:
    """The runs of one event loop that have not been finished."""

    def __init__(self) -> None:
        self._runs: dict[UUID, Generation] = {}
        # Who has asked and is not answered yet.
        self._asking: set[UUID] = set()

    def find(self, run: UUID) -> Generation | None:
        """Return a run that this process writes or has written just now."""
        return self._runs.get(run)

    def running_for(self, visitor_id: UUID) -> UUID | None:
        """Return the run that this process writes for a visitor, None where there is none."""
        mine = (each for each in self._runs.values() if each.answer.visitor_id == visitor_id)
        return next((each.answer.run for each in mine if each.writer.feed.end is None), None)

    async def begin(self, asker: Asker, visitor_id: UUID, asked: protocol.Ask, talk: Conversation) -> None:
        """Ask the model, and show the answer in all of the visitor's tabs. Raises Refused and BudgetExceeded.

        With a turn it is another version of that one, which the model is not reminded of. The one thing that is waited
        for is the visitor's budget.
        """
        if visitor_id in self._asking or self.running_for(visitor_id) is not None:
            raise protocol.Refused.busy()
        self._asking.add(visitor_id)
        try:
            answer = Answer(visitor_id, asked.text, talk.prompt(asked.text, str(asked.turn or "")), asked.turn)
            with tracing.span("ask", answer.trace_id, kind="server", link=asked.traceparent, attributes=_ABOUT):
                # In the budget's round trip.
                registry.look_ahead("chat")
                await budgets.reserve(asker, str(answer.run), answer.most_tokens)
                generation = self._runs[answer.run] = Generation(answer, talk)
        finally:
            self._asking.discard(visitor_id)
        generation.finished.add_done_callback(lambda _: self._runs.pop(answer.run, None))
        marks.note(answer.trace_id, "picked_up", accepted=answer.started_at, chat="websocket", owner=visitor_id)
        register().begin(answer.record(""))
        tabs().show(visitor_id, answer.run, Asked(answer.turn, asked.text))

    async def shut_down(self) -> None:
        """End all runs as interrupted, and see to it that their text and rows are safe. Takes a few seconds at most."""
        ending = list(self._runs.values())
        for generation in ending:
            generation.interrupt()
        if ending:
            log.info("runs are interrupted, the server stops", runs=len(ending))
            await asyncio.wait([generation.finished for generation in ending], timeout=_DRAIN)
            await asyncio.gather(*(runs.log().close(generation.writer) for generation in ending))
        await recorder().flush(_DRAIN)


_generations: WeakKeyDictionary[asyncio.AbstractEventLoop, Generations] = WeakKeyDictionary()


def generations() -> Generations:
    """Return the runs that the running event loop writes."""
    draining.before_exit(_shut_down)
    return _generations.setdefault(asyncio.get_running_loop(), Generations())


async def _shut_down() -> None:
    await generations().shut_down()
