"""The persist role: stores what came of each question, once, and then tells who waits for it."""

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import Message as KafkaMessage

from kafka_chat import endings, questions, topics
from kafka_chat.messages import Answer

log = structlog.get_logger(__name__)


class Persisting:
    """Handles the messages on `chatbot-answers`."""

    group = "chatbot-persist"
    topic = topics.ANSWERS

    async def handle(self, message: KafkaMessage) -> None:
        """Store one answer or failure, then end its run; the second one for a question is passed over.

        Raises UnreadableMessage or ChatMessage.DoesNotExist for poison.
        """
        answer = Answer.decode(message.value())
        row = await database_sync_to_async(questions.record)(answer)
        if row is None:
            log.info("answer passed over, there is one already", message_id=str(answer.message_id))
            # Who stored it may have died before they could tell anybody.
            row = await database_sync_to_async(questions.get)(answer.message_id)
        await endings.announce(row)
