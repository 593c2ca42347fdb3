"""The answer role: claims a question, asks the model, and publishes what came of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.utils import timezone

from kafka_chat import questions, topics
from kafka_chat.clients import DeliveryFailed, Publisher
from kafka_chat.messages import Answer, Question
from llm import registry
from llm.errors import LLMError
from llm.persona import SYSTEM_PROMPT
from llm.types import Chunk, Message, Request

log = structlog.get_logger(__name__)

# How often the model is asked in all, where another try can help.
TRIES = 3
# Seconds before the second try; doubles, with jitter.
_BACKOFF = 0.5


class Answering:
    """Handles the messages on `chatbot-questions`."""

    group = "chatbot-answer"
    topic = topics.QUESTIONS

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def handle(self, message: KafkaMessage) -> None:
        """Answer one question; one that is finished or in other hands is passed over.

        Raises UnreadableMessage or ChatMessage.DoesNotExist for poison, and DeliveryFailed where the broker is away.
        """
        question = Question.decode(message.value())
        if not await database_sync_to_async(questions.claim)(question.message_id):
            log.info("question passed over, it is finished or in other hands", message_id=str(question.message_id))
            return
        try:
            async with _lease(question):
                answer = await self._answer(question)
            await self._publish(answer)
        except BaseException:
            # Whatever ended us, a shutdown too: the question must not wait for its lease to run out.
            await asyncio.shield(database_sync_to_async(questions.release)(question.message_id))
            raise
        log.info(
            "question answered" if not answer.error else "question failed",
            message_id=str(question.message_id),
            trace_id=str(question.trace_id),
            provider=answer.provider,
            tokens=answer.completion_tokens,
        )

    async def _answer(self, question: Question) -> Answer:
        """Return the model's answer, or the sentence for the visitor where there is none."""
        turns = await database_sync_to_async(questions.conversation_before)(question)
        request = Request(messages=tuple(_prompt(turns, question)), max_tokens=settings.LLM_ANSWER_TOKENS)
        for attempt in range(1, TRIES + 1):
            try:
                return await _ask(question, request)
            except LLMError as error:
                log.warning("the model failed", message_id=str(question.message_id), attempt=attempt, error=str(error))
                if attempt == TRIES or not error.retryable:
                    return _about(question, error=error.public)
            await asyncio.sleep(_BACKOFF * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    async def _publish(self, answer: Answer) -> None:
        """Publish an answer; an answer is dear, so a broker that is away is asked once more."""
        for last in (False, True):
            try:
                await self._publisher.send(
                    topics.ANSWERS, key=answer.key(), value=answer.encode(), headers=answer.headers()
                )
            except DeliveryFailed as error:
                if last:
                    raise
                log.warning("the broker took no answer, trying again", error=str(error))
                await asyncio.to_thread(topics.ensure)
            else:
                return


async def _ask(question: Question, request: Request) -> Answer:
    first_token_at: datetime | None = None
    text: list[str] = []
    last = Chunk()
    async for chunk in registry.chain("chat").stream(request):
        if chunk.text and first_token_at is None:
            first_token_at = timezone.now()
        if chunk.restart:
            text.clear()
        text.append(chunk.text)
        last = chunk
    return _about(
        question,
        response="".join(text),
        provider=last.provider,
        model=last.model,
        fallback=last.fallback,
        prompt_tokens=last.usage.prompt_tokens,
        completion_tokens=last.usage.completion_tokens,
        first_token_at=first_token_at,
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


def _prompt(turns: list[questions.Turn], question: Question) -> list[Message]:
    prompt = [Message("system", SYSTEM_PROMPT)]
    for turn in turns:
        prompt += [Message("user", turn.message), Message("assistant", turn.response)]
    return [*prompt, Message("user", question.message)]


@asynccontextmanager
async def _lease(question: Question) -> AsyncIterator[None]:
    """Keep the claim alive while the model works."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(questions.LEASE.total_seconds() / 3)
            await database_sync_to_async(questions.renew_lease)(question.message_id)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
