from llm.persona import SYSTEM_PROMPT
from llm.types import Message
from ws_chat.conversation import MAX_CHARACTERS, MAX_TURNS, Conversation


def test_the_model_is_reminded_of_the_turns_before() -> None:
    conversation = Conversation()
    conversation.add("Who are you?", "An assistant.")
    assert conversation.messages("Since when?") == (
        Message("system", SYSTEM_PROMPT),
        Message("user", "Who are you?"),
        Message("assistant", "An assistant."),
        Message("user", "Since when?"),
    )


def test_only_the_latest_turns_are_kept() -> None:
    conversation = Conversation()
    for number in range(MAX_TURNS + 3):
        conversation.add(f"question {number}", "answer")
    messages = conversation.messages("now")
    assert len(messages) == 2 * MAX_TURNS + 2
    assert messages[1].content == "question 3"


def test_turns_that_do_not_fit_are_left_out_whole() -> None:
    conversation = Conversation()
    conversation.add("oldest", "a" * MAX_CHARACTERS)
    conversation.add("middle", "b" * 100)
    conversation.add("latest", "c" * 100)
    assert [message.content[:6] for message in conversation.messages("d" * 4000)[1::2]] == ["middle", "latest", "d" * 6]
    assert [message.content[:6] for message in conversation.messages("d" * 5800)[1::2]] == ["latest", "d" * 6]
