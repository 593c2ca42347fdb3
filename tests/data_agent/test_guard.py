import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_agent import execution, guard, policy
from data_agent.demo_data import DemoData
from data_agent.errors import QueryFailed
from data_agent.guard import check
from tests.data_agent.statements import HOSTILE, LEGITIMATE


@pytest.mark.parametrize("sql", LEGITIMATE)
def test_a_plain_question_is_allowed(sql: str) -> None:
    verdict = check(sql)
    assert verdict.reasons == ()
    assert verdict.allowed
    assert verdict.tables


@pytest.mark.parametrize("sql", LEGITIMATE)
def test_what_would_run_is_itself_allowed_as_it_stands_also_when_laid_out_for_people(sql: str) -> None:
    verdict = check(sql)
    for text in (verdict.sql, guard.laid_out(verdict)):
        again = check(text)
        assert again.sql == verdict.sql
        assert again.warnings == ()


@pytest.mark.parametrize(
    "sql", [pytest.param(sql, id=f"{kind}: {sql[:60]!r}") for kind, texts in HOSTILE.items() for sql in texts]
)
def test_everything_else_is_refused_with_a_reason(sql: str) -> None:
    verdict = check(sql)
    assert not verdict.allowed
    assert verdict.sql == ""
    assert verdict.reasons
    for reason in verdict.reasons:
        assert reason.endswith(".") or "PostgreSQL cannot read this" in reason
        assert reason.isprintable()


async def test_postgresql_agrees_with_every_plain_question(analytics: DemoData) -> None:
    failures = {}
    for sql in LEGITIMATE:
        verdict = check(sql)
        try:
            estimate = await execution.estimate(verdict.sql)
            result = await execution.run(guard.laid_out(verdict))
        except QueryFailed as error:
            failures[sql] = str(error)
        else:
            assert estimate.rows >= 0
            assert len(result.rows) <= verdict.limit
    assert failures == {}


def test_a_missing_limit_is_added_and_a_large_one_lowered() -> None:
    added = check("SELECT name FROM analytics_users")
    assert added.sql == f"SELECT name FROM analytics_users LIMIT {policy.DEFAULT_ROWS}"
    assert added.warnings == ("LIMIT 100 was added.",)
    assert added.limit == 100
    for large in ("1001", "99999999999", "9999999999999999999999"):
        lowered = check(f"SELECT name FROM analytics_users LIMIT {large}")
        assert lowered.sql.endswith("LIMIT 1000")
        assert lowered.warnings == (f"LIMIT {large} was lowered to 1000.",)
    for none in ("ALL", "NULL"):
        assert check(f"SELECT name FROM analytics_users LIMIT {none}").sql.endswith("LIMIT 100")
    kept = check("SELECT name FROM analytics_users LIMIT 1000")
    assert (kept.warnings, kept.limit) == ((), 1000)


def test_the_limit_of_a_union_counts_for_the_whole() -> None:
    verdict = check("(SELECT name FROM analytics_users LIMIT 5) UNION ALL (SELECT name FROM analytics_users LIMIT 5)")
    assert verdict.warnings == ("LIMIT 100 was added.",)
    assert verdict.sql.endswith(") LIMIT 100")


def test_a_verdict_names_what_is_read_and_used() -> None:
    verdict = check(
        "WITH spent AS (SELECT user_id AS buyer, sum(total_amount) AS amount FROM analytics_purchases GROUP BY 1) "
        "SELECT u.name, s.amount FROM spent s JOIN analytics_users u ON u.id = s.buyer"
    )
    assert verdict.tables == ("analytics_purchases", "analytics_users")
    assert verdict.columns == (
        "analytics_purchases.total_amount",
        "analytics_purchases.user_id",
        "analytics_users.id",
        "analytics_users.name",
    )
    assert verdict.functions == ("sum",)
    assert verdict.policy_version == policy.VERSION


def test_several_reasons_come_together() -> None:
    verdict = check("SELECT pg_sleep(1), u.nothing FROM analytics_users u, auth_user FOR UPDATE")
    assert len(verdict.reasons) == 4


def test_a_reason_tells_what_there_is_instead() -> None:
    (reason,) = check("SELECT u.mail FROM analytics_users u").reasons
    assert reason == "u has no column 'mail'. It has id, name, email, country, plan, signed_up_at."


def test_comments_do_not_survive() -> None:
    assert check("SELECT /* ; */ name -- x\nFROM analytics_users").sql == "SELECT name FROM analytics_users LIMIT 100"


@given(st.text(max_size=300))
def test_no_text_makes_the_guard_raise(text: str) -> None:
    assert not check(text).allowed


_WORDS = """SELECT FROM WITH AS ( ) , . * ; a u analytics_users auth_user name count 1 = UNION JOIN ON LIMIT LATERAL
VALUES WHERE IN"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=30))
def test_no_order_of_words_reads_another_table(words: list[str]) -> None:
    verdict = check(" ".join(words))
    assert set(verdict.tables) <= {"analytics_users"}
    assert not verdict.allowed or verdict.tables
