"""The answer role: claims a question, asks the model, and publishes what came of it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import KafkaException
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import InterfaceError, OperationalError

from kafka_chat import questions, topics
from kafka_chat.clients import DeliveryFailed, Publisher
from kafka_chat.drafts import Draft
from kafka_chat.messages import Answer, Question
from kafka_chat.outcomes import Outcome, Report, log_outcome
from llm import budgets, conversations, registry
from llm.conversations import Conversation
from llm.errors import LLMError
from llm.memory import Turn
from llm.meter import Meter
from llm.runs import RunEnded, RunFull
from llm.types import Request

log = structlog.get_logger(__name__)

# How often the model is asked in all, where another try can help.
TRIES = 3
# Seconds before the second try; doubles, with jitter.
_BACKOFF = 0.5


class Answering:
    """Handles the messages on `chatbot-questions`."""

    group = "chatbot-answer"
    topic = topics.QUESTIONS

    def __init__(self, publisher: Publisher, report: Report = log_outcome) -> None:
        self._publisher = publisher
        self._report = report

    async def handle(self, message: KafkaMessage) -> None:
        """Answer one question; one that is finished, in other hands or not its visitor's next is passed over.

        Raises UnreadableMessage or ChatMessage.DoesNotExist for poison.
        """
        question = Question.decode(message.value())
        claim = await database_sync_to_async(questions.claim)(question.message_id)
        if claim is None:
            log.info("question passed over", message_id=str(question.message_id))
            return
        begin = time.monotonic()
        meter = Meter()
        conversation = _conversation(question, claim)
        try:
            async with _lease(question):
                with meter.running():
                    answer = await self._answer_unless_stopped(question, conversation)
                if answer is None:
                    log.info("question finished by somebody else", message_id=str(question.message_id))
                    return
                # Before it is published: then the next question may be begun at once, by any worker.
                await _remember(conversation, question, answer)
                await self._publish(answer)
        except BaseException:
            # Whatever ended us, a shutdown too: the question must not wait for its lease to run out.
            # With PostgreSQL away it must, and what ended us must not be forgotten over that.
            with suppress(OperationalError, InterfaceError):
                await asyncio.shield(database_sync_to_async(questions.release)(question.message_id))
            raise
        await budgets.settle(str(question.message_id), meter.tokens)
        self._report(
            Outcome(
                message_id=question.message_id,
                trace_id=question.trace_id,
                status="failed" if answer.error else "stopped" if answer.stopped else "answered",
                provider=answer.provider,
                seconds=time.monotonic() - begin,
                tokens=answer.completion_tokens,
            )
        )

    async def _answer_unless_stopped(self, question: Question, conversation: Conversation) -> Answer | None:
        """Return the answer, as far as its visitor had seen it where they stopped it; None where it is finished."""
        draft = Draft(question.message_id, question.session_id)
        try:
            await draft.open()
        except RunEnded:
            # Stopped in this moment. Or asked again by an operator: then its run is not needed.
            if not await database_sync_to_async(questions.is_open)(question.message_id):
                return None
        try:
            answer = await draft.unless_stopped(self._answer(question, conversation, draft))
        finally:
            await draft.close()
        return answer or _drafted(question, draft, stopped=True)

    async def _answer(self, question: Question, conversation: Conversation, draft: Draft) -> Answer:
        """Return the model's answer, or the sentence for the visitor where there is none."""
        await conversation.refresh()
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


def _conversation(question: Question, claim: questions.Claim) -> Conversation:
    async def load() -> Sequence[Turn]:
        return await database_sync_to_async(questions.turns)(question.session_id) if claim.remembers else ()

    return conversations.of(f"kafka:{question.session_id}", load)


async def _remember(conversation: Conversation, question: Question, answer: Answer) -> None:
    if not answer.error:
        conversation.add(Turn(str(question.message_id), question.message, answer.response))
        await conversation.save()


@asynccontextmanager
async def _lease(question: Question) -> AsyncIterator[None]:
    """Keep the claim alive while the model works."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(questions.lease().total_seconds() / 3)
            # While PostgreSQL is away nobody else can claim it either.
            with suppress(OperationalError, InterfaceError):
                await database_sync_to_async(questions.renew_lease)(question.message_id)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
