"""The peer's worker: `python -m benchmarks.article_worker`, one question after the other until SIGTERM.

Takes a question, asks the model, sends the answer and waits until the broker has it, stores it, commits. Its consumer
has our consumers' settings. Its model is nothing but a wait of the time that the question names.
"""

import json
import re
import signal
import time
from types import FrameType

import django
from confluent_kafka import Message


def main() -> None:
    """Work until told to stop."""
    django.setup()
    from benchmarks.article import QUESTIONS
    from kafka_chat import clients

    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    consumer = clients.consumer("article-worker")
    consumer.subscribe([QUESTIONS])
    try:
        while not stopping:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                _answer(message)
                consumer.commit(message=message, asynchronous=False)
    finally:
        consumer.close()


def _answer(message: Message) -> None:
    from django.utils import timezone

    from benchmarks.article import ANSWERS, send
    from kafka_chat.models import ChatMessage, Status

    question = json.loads(message.value() or b"")
    answer = _ask_model(question["message"])
    send(ANSWERS, message_id=question["message_id"], response=answer)
    ChatMessage.objects.filter(message_id=question["message_id"]).update(
        response=answer, status=Status.ANSWERED, answered_at=timezone.now()
    )


def _ask_model(question: str) -> str:
    named = re.search(r"takes (\d+) ms", question)
    assert named is not None
    time.sleep(int(named[1]) / 1000)
    return "Done."


if __name__ == "__main__":
    main()
