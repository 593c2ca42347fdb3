import pytest

from data_agent import drafting, execution, guard, slips
from data_agent.demo_data import DemoData
from tests.data_agent.corpus import legitimate
from tests.data_agent.rewriting import rewritten, written

USERS = "FROM analytics_users"
BOUGHT = "FROM analytics_purchases AS p JOIN analytics_product_specs AS s ON s.name = p.product_name"


def corrected(sql: str) -> tuple[str, list[str]]:
    return rewritten(sql, slips.correct)


async def ran(sql: str) -> list[tuple[str | None, ...]]:
    return [tuple(row) for row in (await execution.run(guard.check(sql).sql)).rows]


@pytest.mark.parametrize(
    "share",
    [
        "count(*) FILTER (WHERE plan = 'pro') / count(*)",
        f"count(*) * 100 / (SELECT count(*) {USERS})",
        f"(SELECT count(*) {USERS}) / count(*)",
    ],
)
def test_shares_keep_their_decimals(share: str) -> None:
    sql, notes = corrected(f"SELECT {share} AS share {USERS}")
    assert "::numeric /" in sql
    assert len(notes) == 1
    assert guard.check(sql).allowed


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 100.0 * count(*) FILTER (WHERE plan = 'pro') / count(*) {USERS}",
        "SELECT sum(total_amount) / count(*) FROM analytics_purchases",
        f"SELECT id / 10 {USERS}",
    ],
)
def test_other_divisions_are_left_alone(sql: str) -> None:
    assert corrected(sql) == (written(sql), [])


@pytest.mark.parametrize(
    ("sql", "order"),
    [
        (f"SELECT count(DISTINCT u.id) {USERS} u ORDER BY u.signed_up_at", ""),
        (f"SELECT round(avg(quantity), 1) AS n {BOUGHT} ORDER BY brand, n DESC", " ORDER BY n DESC"),
        (f"SELECT count(*) {USERS} ORDER BY country", ""),
    ],
)
async def test_one_row_is_not_sorted_by_what_it_does_not_have(analytics: DemoData, sql: str, order: str) -> None:
    assert (await drafting.examine(sql)).problem.startswith("PostgreSQL: column")
    changed, notes = corrected(sql)
    assert changed == written(sql.partition(" ORDER BY")[0] + order)
    assert notes == ["ORDER BY was taken out where there is one row only."]
    assert not (await drafting.examine(changed)).problem


NAMES = "SELECT name FROM analytics_product_specs WHERE category = 'Tablets'"
FIRST = "SELECT user_id FROM analytics_purchases ORDER BY id"


async def test_equal_to_many_rows_is_one_of_them(analytics: DemoData) -> None:
    sql, notes = corrected(f"SELECT avg(unit_price) FROM analytics_purchases p WHERE p.product_name = ({NAMES})")
    assert sql == written(f"SELECT avg(unit_price) FROM analytics_purchases p WHERE p.product_name IN ({NAMES})")
    assert notes == ["= was changed to IN, because the sub-query may have several rows."]
    assert (await ran(sql))[0][0] is not None


@pytest.mark.parametrize("key", ["id = 7", "id = -1"])
async def test_a_query_that_ran_before_gives_the_same_rows(analytics: DemoData, key: str) -> None:
    one = f"SELECT user_id FROM analytics_purchases WHERE {key}"
    sql = f"SELECT id {USERS} WHERE (id = ({one}) OR plan = 'pro') AND country <> 'Japan'"
    changed, notes = corrected(sql)
    assert notes
    assert sorted(await ran(changed)) == sorted(await ran(sql))


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT name {USERS} WHERE id = ({FIRST} LIMIT 1)",
        f"SELECT name {USERS} WHERE signed_up_at = (SELECT max(signed_up_at) {USERS})",
        # Here an empty sub-query says "unknown", and IN would say "no".
        f"SELECT name {USERS} WHERE NOT (id = ({FIRST}))",
        f"SELECT id, (SELECT count(*) FROM analytics_purchases WHERE user_id = u.id) {USERS} u ORDER BY u.country",
        f"SELECT name, count(*) OVER () {USERS} ORDER BY country",
        f"SELECT plan, count(*) {USERS} GROUP BY plan ORDER BY plan",
        f"SELECT count(*) {USERS} ORDER BY count",
    ],
)
def test_what_can_run_as_it_is_is_left_alone(sql: str) -> None:
    assert corrected(sql) == (written(sql), [])


@pytest.mark.parametrize(
    ("sql", "meant"),
    [
        (
            f"SELECT 100.0 * count(*) / (SELECT count(*) {USERS} x WHERE x.plan = 'pro') {USERS} WHERE plan = 'pro'",
            f"SELECT 100.0 * count(*) / (SELECT count(*) {USERS} x) {USERS} WHERE plan = 'pro'",
        ),
        (
            f"SELECT round(100.0 * count(*) FILTER (WHERE plan = 'pro') / count(*), 1) {USERS} WHERE plan = 'pro'",
            f"SELECT round(100.0 * count(*) FILTER (WHERE plan = 'pro') / count(*), 1) {USERS}",
        ),
        (
            f"SELECT 100.0 * count(*) FILTER (WHERE plan = 'pro') / count(*) {USERS} WHERE plan = 'pro' AND id > 9",
            f"SELECT 100.0 * count(*) FILTER (WHERE plan = 'pro') / count(*) {USERS} WHERE id > 9",
        ),
    ],
)
def test_a_share_is_not_of_itself(sql: str, meant: str) -> None:
    changed, notes = corrected(sql)
    assert changed == written(meant)
    assert notes == ["The share is of all rows now; it was that of the counted rows in themselves."]


PURCHASES = "FROM analytics_purchases"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT sum(total_amount) / (SELECT count(*) {PURCHASES} WHERE status = 'completed') {PURCHASES} "
        "WHERE status = 'completed'",
        f"SELECT 1.0 * count(*) / (SELECT count(DISTINCT user_id) {PURCHASES} WHERE quantity > 2) {PURCHASES} "
        "WHERE quantity > 2",
        f"SELECT 1.0 * count(*) / (SELECT count(*) {PURCHASES} WHERE quantity > 2) {PURCHASES} WHERE quantity > 5",
        f"SELECT 1.0 * count(*) FILTER (WHERE quantity > 2) / count(*) {PURCHASES} WHERE status = 'completed'",
    ],
)
def test_other_ratios_are_left_alone(sql: str) -> None:
    assert corrected(sql) == (written(sql), [])


def test_of_the_analysts_queries_none_is_changed_but_for_its_decimals() -> None:
    for statement in legitimate():
        notes = corrected(statement.sql)[1]
        assert all("decimals" in note for note in notes), statement.sql
