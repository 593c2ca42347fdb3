import pytest

from data_agent import replies
from data_agent.replies import Reply, Unreadable

SELECT = "SELECT count(*) FROM analytics_users"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"sql": "{SELECT}", "explanation": "Counts."}}',
        f'Sure, here it is: {{"sql": "{SELECT}", "explanation": "Counts."}} Have a nice day.',
        f'```json\n{{"sql": "{SELECT}", "explanation": "Counts."}}\n```',
        f'{{"action": "query", "text": "Counts.", "sql": "{SELECT}"}}',
        f'{{"note": {{}}}} {{"sql": "{SELECT}", "explanation": " Counts. ", "more": 1}}',
        f"Counts.\n```sql\n{SELECT}\n```\nDone.",
    ],
)
def test_a_query_is_found_in_json_and_in_prose(text: str) -> None:
    assert replies.read(text) == Reply(action="query", sql=SELECT, text="Counts.")


@pytest.mark.parametrize(
    "text", [SELECT, f"```\n{SELECT}\n```", f"  {SELECT.lower()}\n", f"WITH a AS ({SELECT}) TABLE a"]
)
def test_a_bare_query_will_do(text: str) -> None:
    assert replies.read(text).action == "query"


def test_who_writes_no_query_asks_and_a_stated_action_counts() -> None:
    assert replies.read('{"sql": "", "explanation": "Which year?"}') == Reply(action="ask", text="Which year?")
    assert replies.read('{"sql": null, "question": "Which year?"}') == Reply(action="ask", text="Which year?")
    assert replies.read('{"action": "answer", "text": "200.", "sql": ""}') == Reply(action="answer", text="200.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I think you should count them.",
        "{",
        "{" * 5_000,
        '{"sql": 5}',
        '{"action": "drop", "text": "x", "sql": "SELECT 1"}',
        '{"action": "query", "text": "x", "sql": " "}',
        '{"action": "answer", "text": "", "sql": ""}',
        '["sql"]',
        "null",
    ],
)
def test_all_else_is_no_reply(text: str) -> None:
    with pytest.raises(Unreadable):
        replies.read(text)
