"""The persist role: stores what came of each question, once."""

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import Message as KafkaMessage

from kafka_chat import questions, topics
from kafka_chat.messages import Answer

log = structlog.get_logger(__name__)


class Persisting:
    """Handles the messages on `chatbot-answers`."""

    group = "chatbot-persist"
    topic = topics.ANSWERS

    async def handle(self, message: KafkaMessage) -> None:
        """Store one answer or failure; the second one for a question is passed over.

        Raises UnreadableMessage or ChatMessage.DoesNotExist for poison.
        """
        answer = Answer.decode(message.value())
        if not await database_sync_to_async(questions.record)(answer):
            log.info("answer passed over, there is one already", message_id=str(answer.message_id))
