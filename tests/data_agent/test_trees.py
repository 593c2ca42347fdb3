import postgast
import pytest

from data_agent.guard import trees


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t", "select /* x */ a\n\nfrom t -- y"),
        ("SELECT a FROM t WHERE a IN (1, 2)", "SELECT a FROM t WHERE   a   IN   (1,   2)"),
        ("SELECT ARRAY[1, 2], 'x'::text FROM t", "SELECT ARRAY[ 1 , 2 ], CAST('x' AS text) FROM t"),
        ("SELECT a AS b FROM t AS u", "SELECT a b FROM t u"),
    ],
)
def test_texts_that_differ_in_places_only_mean_the_same(one: str, other: str) -> None:
    assert trees.same(postgast.parse(one), postgast.parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t", "SELECT b FROM t"),
        ("SELECT a FROM t", "SELECT a FROM t, t"),
        ("SELECT a FROM t WHERE a = '1'", "SELECT a FROM t WHERE a = '2'"),
        ("SELECT a FROM t WHERE a = '1'", "SELECT a FROM t WHERE a = 1"),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a NULLS FIRST"),
        ("SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 2"),
        ("SELECT a FROM t WHERE a AND (b OR c)", "SELECT a FROM t WHERE (a AND b) OR c"),
        ("SELECT a FROM t UNION SELECT a FROM t", "SELECT a FROM t UNION ALL SELECT a FROM t"),
        ("SELECT sum(a) OVER (ORDER BY a ROWS 1 PRECEDING) FROM t", "SELECT sum(a) OVER (ORDER BY a) FROM t"),
        ("SELECT a FROM t", "SELECT a FROM t; SELECT a FROM t"),
        # What looks like a place is part of the meaning here.
        ("SELECT 'location: 5' FROM t", "SELECT 'location: 6' FROM t"),
        ("SELECT location FROM t", "SELECT stmt_location FROM t"),
    ],
)
def test_texts_that_mean_something_else_do_not(one: str, other: str) -> None:
    assert not trees.same(postgast.parse(one), postgast.parse(other))
