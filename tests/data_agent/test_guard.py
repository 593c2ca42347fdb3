import subprocess
import sys

import psycopg
import pytest
from django.conf import settings

from config.env import BASE_DIR
from data_agent import execution, guard, roles
from data_agent.demo_data import DemoData
from data_agent.errors import QueryFailed
from data_agent.guard import check, policy
from tests.data_agent import plans
from tests.data_agent.corpus import Statement, hostile, legitimate


def test_the_corpora_are_as_large_and_as_varied_as_they_should_be() -> None:
    assert len(hostile()) >= 600
    assert len({statement.kind for statement in hostile()}) >= 30
    assert len(legitimate()) >= 150
    for corpus in (hostile(), legitimate()):
        assert len({statement.sql for statement in corpus}) == len(corpus)


def test_the_readme_publishes_the_score_of_these_corpora() -> None:
    text = (BASE_DIR / "data_agent" / "README.md").read_text(encoding="utf-8")
    for corpus, name, outcome in (
        (hostile(), "hostile statements", "refused"),
        (legitimate(), "analysts' queries", "allowed"),
    ):
        size, kinds = len(corpus), len({statement.kind for statement in corpus})
        assert f"| {size} {name} of {kinds} kinds | {size} {outcome} |" in text


@pytest.mark.parametrize("kind", sorted({statement.kind for statement in hostile()}))
def test_what_is_hostile_is_refused_with_reasons(kind: str) -> None:
    for statement in hostile():
        if statement.kind == kind:
            for personal in (False, True):
                verdict = check(statement.sql, personal=personal)
                assert not verdict.allowed, statement.sql
                assert verdict.sql == ""
                assert verdict.reasons
                for reason in verdict.reasons:
                    assert reason.isprintable()
                    # The sentence for what the guard itself could not cope with.
                    assert "could not be checked" not in reason, statement.sql


@pytest.mark.parametrize("kind", sorted({statement.kind for statement in legitimate()}))
def test_what_analysts_ask_is_allowed(kind: str) -> None:
    for statement in legitimate():
        if statement.kind == kind:
            verdict = check(statement.sql, personal=True)
            assert verdict.reasons == (), statement.sql
            assert verdict.allowed
            assert verdict.tables
            assert 0 < verdict.limit <= policy.MAX_ROWS


def test_what_would_run_is_itself_allowed_as_it_stands_also_when_laid_out_for_people() -> None:
    for statement in legitimate():
        verdict = check(statement.sql, personal=True)
        for text in (verdict.sql, guard.laid_out(verdict)):
            again = check(text, personal=True)
            assert again.sql == verdict.sql
            assert again.warnings == ()


async def test_postgresql_runs_what_analysts_ask_as_the_role_that_sees_personal_data(analytics: DemoData) -> None:
    assert await _failures(legitimate(), personal=True) == {}


async def test_postgresql_runs_it_as_the_role_that_sees_masks_too(analytics: DemoData) -> None:
    assert await _failures(legitimate(), personal=False) == {}


async def _failures(corpus: tuple[Statement, ...], *, personal: bool) -> dict[str, str]:
    """Return what PostgreSQL says against statements that the guard lets through."""
    failures = {}
    for statement in corpus:
        verdict = check(statement.sql, personal=personal)
        try:
            estimate = await execution.estimate(verdict.sql, personal=personal)
            result = await execution.run(guard.laid_out(verdict), personal=personal)
        except QueryFailed as error:
            failures[statement.sql] = str(error)
        else:
            assert estimate.rows >= 0
            assert len(result.rows) <= verdict.limit
    return failures


@pytest.mark.parametrize("personal", [False, True])
def test_the_planner_agrees_on_what_is_read_and_called(analytics: DemoData, personal: bool) -> None:
    role = roles.from_url(settings.ANALYTICS_DATABASE_URL, personal=personal)
    with psycopg.connect(settings.ANALYTICS_DATABASE_URL, user=role.name) as opened:
        for statement in legitimate():
            verdict = check(statement.sql, personal=personal)
            plan = plans.plan_of(opened, verdict.sql)
            # It may leave a table or a function out, where it needs nothing of it.
            assert plans.relations(plan) <= {f"public.{table}" for table in verdict.tables}, statement.sql
            assert plans.functions(plan) <= policy.FUNCTIONS, statement.sql


def test_a_plan_tells_what_a_text_hides(analytics: DemoData) -> None:
    hidden = (
        "SELECT u.pg_column_size, (g).pg_typeof FROM public.analytics_users u, generate_series(1, 2) AS g(pg_typeof)"
    )
    role = roles.from_url(settings.ANALYTICS_DATABASE_URL, personal=True)
    with psycopg.connect(settings.ANALYTICS_DATABASE_URL, user=role.name) as agent:
        plan = plans.plan_of(agent, hidden)
    assert plans.functions(plan) - policy.FUNCTIONS == {"pg_column_size", "pg_typeof"}
    assert plans.relations(plan) == {"public.analytics_users"}


def test_a_missing_limit_is_added_and_a_large_one_lowered() -> None:
    added = check("SELECT country FROM analytics_users")
    assert added.sql == f"SELECT country FROM analytics_users LIMIT {policy.DEFAULT_ROWS}"
    assert added.warnings == ("LIMIT 100 was added.",)
    assert added.limit == 100
    for large in ("1001", "99999999999", "9999999999999999999999"):
        lowered = check(f"SELECT country FROM analytics_users LIMIT {large}")
        assert lowered.sql.endswith("LIMIT 1000")
        assert lowered.warnings == (f"LIMIT {large} was lowered to 1000.",)
    for none in ("ALL", "NULL"):
        assert check(f"SELECT country FROM analytics_users LIMIT {none}").sql.endswith("LIMIT 100")
    kept = check("SELECT country FROM analytics_users LIMIT 1000")
    assert (kept.warnings, kept.limit) == ((), 1000)


def test_the_limit_of_a_union_counts_for_the_whole() -> None:
    verdict = check("(SELECT plan FROM analytics_users LIMIT 5) UNION ALL (SELECT plan FROM analytics_users LIMIT 5)")
    assert verdict.warnings == ("LIMIT 100 was added.",)
    assert verdict.sql.endswith(") LIMIT 100")


@pytest.mark.parametrize(
    "bound",
    [
        "FETCH FIRST 3 ROWS WITH TIES",
        "LIMIT (SELECT count(*) / 10 FROM analytics_users)",
        "LIMIT 1000000 * 1000000",
        "FETCH FIRST 5000 ROWS WITH TIES",
    ],
)
def test_around_a_limit_that_is_not_known_another_one_is_put(bound: str) -> None:
    verdict = check(f"SELECT id FROM analytics_users ORDER BY id {bound}")
    assert verdict.warnings == ("LIMIT 1000 was put around the query.",)
    assert verdict.sql.startswith("SELECT * FROM (SELECT id FROM analytics_users ORDER BY id ")
    assert verdict.sql.endswith(") limited LIMIT 1000")
    assert verdict.limit == 1000


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


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT u.name, u.email FROM analytics_users u",
        "SELECT * FROM analytics_users",
        "SELECT to_jsonb(u) FROM analytics_users u",
        "SELECT x.a FROM (SELECT lower(name) AS a, max(email) AS b FROM analytics_users GROUP BY name) AS x",
        "WITH a(x, y, z) AS (SELECT * FROM analytics_users) SELECT z FROM a",
        "SELECT count(*) FROM analytics_users GROUP BY name HAVING max(email) > 'a'",
        "SELECT id FROM analytics_users JOIN (SELECT email, name FROM analytics_users) b USING (email, name)",
    ],
)
def test_a_verdict_names_personal_data_that_the_person_sees_masked(sql: str) -> None:
    assert check(sql).masked == ("analytics_users.email", "analytics_users.name")
    assert check(sql, personal=True).masked == ()


def test_products_have_names_that_are_nobodys() -> None:
    assert check("SELECT name FROM analytics_product_specs").masked == ()


def test_the_schemas_name_is_taken_away_so_that_the_role_decides_what_is_seen() -> None:
    verdict = check('SELECT public.analytics_users.id, "public".analytics_users.* FROM public.analytics_users')
    assert verdict.sql == "SELECT analytics_users.id, analytics_users.* FROM analytics_users LIMIT 100"


def test_a_masked_table_cannot_be_sampled() -> None:
    sql = "SELECT count(*) FROM analytics_users TABLESAMPLE SYSTEM (10)"
    assert check(sql, personal=True).allowed
    assert check(sql).reasons == ("analytics_users is masked and cannot be sampled. Write WHERE id % 10 = 0 instead.",)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "SELECT u.mail FROM analytics_users u",
            "u has no column 'mail'. Nearest: email. It has id, name, email, country, plan, signed_up_at.",
        ),
        (
            "SELECT price FROM analytics_purchases",
            "There is no column 'price' here. Nearest: unit_price. analytics_product_specs has price.",
        ),
        ("SELECT id FROM users", "The table 'users' may not be read. Did you mean analytics_users?"),
        (
            "SELECT x.id FROM analytics_users u",
            "There is no table or alias 'x' here. There are u.",
        ),
        (
            "SELECT year(signed_up_at) FROM analytics_users",
            "The function year may not be used. Write extract(year FROM ...) instead.",
        ),
        (
            "SELECT date_trnc('month', signed_up_at) FROM analytics_users",
            "The function date_trnc may not be used. Nearest: date_trunc.",
        ),
        (
            "SELECT repeat('x', id::int) FROM analytics_users",
            "repeat needs a plain number of at most 100, or least(100, ...).",
        ),
    ],
)
def test_a_reason_tells_what_to_do_instead(sql: str, reason: str) -> None:
    assert check(sql).reasons == (reason,)


@pytest.mark.parametrize(
    ("sql", "advice"),
    [
        ("SELECT TOP 5 id FROM analytics_users", "Write LIMIT at the end instead of TOP."),
        ("SELECT `id` FROM analytics_users", "not in backquotes"),
        ("SELECT now() - INTERVAL 1 MONTH FROM analytics_users", "Write interval '1 month', with quotes."),
    ],
)
def test_what_postgresql_cannot_read_is_explained_where_the_cause_is_known(sql: str, advice: str) -> None:
    (reason,) = check(sql).reasons
    assert reason.startswith("PostgreSQL cannot read this: syntax error")
    assert advice in reason


def test_comments_do_not_survive() -> None:
    assert check("SELECT /* ; */ plan -- x\nFROM analytics_users").sql == "SELECT plan FROM analytics_users LIMIT 100"


def test_an_earlier_mistake_brings_no_complaints_about_what_follows_from_it() -> None:
    assert len(check("SELECT a.x, y FROM auth_user a JOIN analytics_users u ON a.z = u.id").reasons) == 1


def test_no_text_takes_the_process_down_whatever_stack_the_caller_has_also_after_a_fork() -> None:
    program = """
import os, threading
from data_agent.guard import check
from tests.data_agent.corpus import hostile

texts = [statement.sql for statement in hostile() if statement.kind == "too much"]
texts += ["SELECT " + mark * (9_900 // len(mark)) for mark in ("(", "NOT ", "- ", "1+", "CASE ", "[", "a.", "(SELECT ")]
verdicts = []
threading.stack_size(64 * 1024)
caller = threading.Thread(target=lambda: verdicts.extend(check(text).allowed for text in texts))
caller.start()
caller.join()
assert verdicts == [False] * len(texts)
child = os.fork()
if child == 0:
    os._exit(0 if check("SELECT id FROM analytics_users").allowed else 1)
assert os.waitpid(child, 0)[1] == 0
print("unharmed")
"""
    arguments = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("unharmed\n", 0), done.stderr[-2_000:]
