"""The answer role: claims a question, asks the model, and publishes what came of it."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaException
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import InterfaceError, OperationalError

from config.observability import counting, tracing
from kafka_chat import own_data, questions, topics
from kafka_chat.claims import Claim, Claims
from kafka_chat.clients import DeliveryFailed, Publisher, publishing
from kafka_chat.drafts import Draft
from kafka_chat.messages import Answer, Question
from kafka_chat.outcomes import Outcome, Report, log_outcome
from llm import budgets, conversations, registry
from llm.conversations import Conversation
from llm.errors import LLMError
from llm.memory import Turn
from llm.meter import Meter
from llm.runs import RunEnded, RunFull
from llm.timelines import marks
from llm.types import Request

log = structlog.get_logger(__name__)

# How often the model is asked in all, where another try can help.
TRIES = 3
# Seconds before the second try; doubles, with jitter.
_BACKOFF = 0.5
# What its timeline keeps of an answer.
_MARKED = {"provider", "model", "fallback", "prompt_tokens", "completion_tokens"}


class Answering:
    """Handles the messages on `chatbot-questions`."""

    group = "chatbot-answer"
    topic = topics.QUESTIONS

    def __init__(self, publisher: Publisher, claims: Claims, report: Report = log_outcome) -> None:
        self._publisher = publisher
        self._claims = claims
        self._report = report

    async def handle(self, message: KafkaMessage) -> None:
        """Answer one question; one that is finished, in other hands or not its visitor's next is passed over.

        Raises UnreadableMessage or ChatMessage.DoesNotExist for poison.
        """
        question = Question.decode(message.value())
        with counting.counting() as counted, tracing.span("answer", question.trace_id, kind="consumer"):
            try:
                await self._handle(question, published=_made_at(message))
            finally:
                marks.note(question.trace_id, counted=counted)

    async def _handle(self, question: Question, published: datetime | None) -> None:
        claim = await self._claims.take(question.message_id)
        if claim is None:
            log.info("question passed over", message_id=str(question.message_id))
            return tracing.say("passed over")
        marks.note(question.trace_id, "picked_up", published=published)
        begin = time.monotonic()
        meter = Meter()
        try:
            with meter.running():
                answer = await self._answer_unless_stopped(question, claim)
            if answer is None:
                log.info("question finished by somebody else", message_id=str(question.message_id))
                tracing.say("passed over")
                return self._claims.let_go(question.message_id)
            with publishing(topics.ANSWERS, question.trace_id):
                await self._publish(answer)
            self._claims.let_go(question.message_id)
        except BaseException:
            # Whatever ended us, a shutdown too: the question must not wait for its lease to run out.
            # With PostgreSQL away it must, and what ended us must not be forgotten over that.
            with suppress(OperationalError, InterfaceError):
                await asyncio.shield(self._claims.give_back(question.message_id))
            raise
        await budgets.settle(str(question.message_id), meter.tokens)
        outcome = _outcome(question, answer, time.monotonic() - begin)
        tracing.say(outcome.status, failed=outcome.status == "failed")
        self._report(outcome)

    async def _answer_unless_stopped(self, question: Question, claim: Claim) -> Answer | None:
        """Return the answer, as far as its visitor had seen it where they stopped it; None where it is finished."""
        draft = Draft(question.message_id, question.session_id)
        conversation = _conversation(question)
        try:
            await _open(draft, conversation, claim)
        except RunEnded:
            # Stopped in this moment. Or asked again by an operator: then its run is not needed.
            if not await database_sync_to_async(questions.is_open)(question.message_id):
                return None
        try:
            answer = await draft.unless_stopped(self._answer(question, conversation, draft))
        except BaseException:
            await draft.close()
            raise
        answer = answer or _drafted(question, draft, stopped=True)
        made = answer.model_dump(include=_MARKED)
        marks.note(question.trace_id, "last_token", first_token=draft.first_token_at, **made)
        # Before it is published: then the next question may be begun at once, by any worker.
        await asyncio.gather(draft.close(), _remember(conversation, question, answer))
        return answer

    async def _answer(self, question: Question, conversation: Conversation, draft: Draft) -> Answer:
        """Return the model's answer, or the sentence for the visitor where there is none."""
        request = Request(
            messages=conversation.prompt(question.message, str(question.message_id)),
            max_tokens=settings.LLM_ANSWER_TOKENS,
            trace_id=question.trace_id,
        )
        for attempt in range(1, TRIES + 1):
            try:
                return await _ask(question, request, draft)
            except LLMError as error:
                log.warning("the model failed", message_id=str(question.message_id), attempt=attempt, error=str(error))
                if attempt == TRIES or not error.retryable:
                    return _about(question, error=error.public)
            draft.begin_anew()
            await asyncio.sleep(_BACKOFF * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    async def _publish(self, answer: Answer) -> None:
        """Publish an answer. It is dear, so it is kept, and its lease renewed, until the broker takes it."""
        while True:
            try:
                return await self._publisher.send(
                    topics.ANSWERS, key=answer.key(), value=answer.encode(), headers=answer.headers()
                )
            except DeliveryFailed as error:
                log.warning("the broker took no answer, trying again", error=str(error))
            # A broker that lost its memory has lost its topics too.
            with suppress(KafkaException):
                await asyncio.to_thread(topics.ensure)
            await asyncio.sleep(_BACKOFF)


def _made_at(message: KafkaMessage) -> datetime | None:
    """Return when the relay handed a message to the broker, or with `LogAppendTime` when the broker took it."""
    kind, milliseconds = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(milliseconds / 1000, UTC)


async def _ask(question: Question, request: Request, draft: Draft) -> Answer:
    async with aclosing(registry.chain("chat").stream(request)) as chunks:
        try:
            async for chunk in chunks:
                draft.add(chunk)
        except RunFull:
            log.warning("an answer was cut at its greatest length", message_id=str(question.message_id))
    return _drafted(question, draft)


def _drafted(question: Question, draft: Draft, *, stopped: bool = False) -> Answer:
    return _about(
        question,
        response=draft.text,
        stopped=stopped,
        provider=draft.last.provider,
        model=draft.last.model,
        fallback=draft.last.fallback,
        prompt_tokens=draft.last.usage.prompt_tokens,
        completion_tokens=draft.last.usage.completion_tokens,
        first_token_at=draft.first_token_at,
    )


def _about(question: Question, **result: object) -> Answer:
    return Answer.model_validate(
        {
            "message_id": question.message_id,
            "session_id": question.session_id,
            "trace_id": question.trace_id,
            **result,
        }
    )


def _conversation(question: Question) -> Conversation:
    async def load() -> Sequence[Turn]:
        return await database_sync_to_async(questions.turns)(question.session_id)

    return conversations.of(own_data.name_of(question.session_id), load)


async def _open(draft: Draft, conversation: Conversation, claim: Claim) -> None:
    """Make ready to answer. Raises RunEnded."""
    if claim.remembers:
        await asyncio.gather(draft.open(), conversation.refresh())
    else:
        conversation.begin()
        await draft.open()


async def _remember(conversation: Conversation, question: Question, answer: Answer) -> None:
    if not answer.error:
        conversation.add(Turn(str(question.message_id), question.message, answer.response))
        await conversation.save()


def _outcome(question: Question, answer: Answer, seconds: float) -> Outcome:
    return Outcome(
        message_id=answer.message_id,
        trace_id=answer.trace_id,
        status="failed" if answer.error else "stopped" if answer.stopped else "answered",
        provider=answer.provider,
        seconds=seconds,
        tokens=answer.completion_tokens,
        question=question.message,
        answer=answer.response,
    )
