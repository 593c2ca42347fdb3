"""The persist role: stores what came of each question, once, and then tells who waits for it."""

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import Message as KafkaMessage

from config.observability import counting, tracing
from kafka_chat import endings, questions, results, topics
from kafka_chat.messages import Answer
from kafka_chat.results import Results
from llm.timelines import marks

log = structlog.get_logger(__name__)

# Answers stored at once, at most: they come in bursts, and what is stored together costs one statement.
CONCURRENCY = 256


class Persisting:
    """Handles the messages on `chatbot-answers`."""

    group = "chatbot-persist"
    topic = topics.ANSWERS

    def __init__(self, results: Results) -> None:
        self._results = results

    async def handle(self, message: KafkaMessage) -> None:
        """Store one answer or failure, then end its run; the second one for a question is passed over.

        Raises UnreadableMessage or ChatMessage.DoesNotExist for poison.
        """
        answer = Answer.decode(message.value())
        with counting.counting() as counted, tracing.span("store", answer.trace_id, kind="consumer"):
            try:
                await self._store(answer)
            finally:
                marks.note(answer.trace_id, counted=counted)

    async def _store(self, answer: Answer) -> None:
        stored = await self._results.store(answer)
        if stored is None:
            log.info("answer passed over, there is one already", message_id=str(answer.message_id))
            tracing.say("passed over")
            # Who stored it may have died before they could tell anybody.
            return await endings.announce(await database_sync_to_async(questions.get)(answer.message_id))
        log.debug("answer stored", status=stored.row.status)
        tracing.say(stored.row.status)
        await endings.announce(stored.row)
        if stored.asked_more:
            # Who dies before this leaves it to the sweep.
            await database_sync_to_async(results.send_next)([stored.row.session_id])
