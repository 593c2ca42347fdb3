"""What a call costs, by the version of the price table that was valid when it began.

PostgreSQL finds the price, in the statement that writes the cost. So a call costs no read, its cost is made from the
table as it is, and until the statement is committed nobody can delete or change a version that it applies; afterwards
a trigger refuses it.
"""

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet

from llm.models import Call

# The price table as `PRICED` reads it. The lock is the promise above: the trigger does not see what is not committed.
PRICES = "WITH prices AS MATERIALIZED (SELECT * FROM llm_price FOR SHARE)"

# Joins a price to each row of `made`, a selection of calls: the newest version of the longest name that fits. Without
# one `price.id` and `price.usd` are null. A provider appends to the name of the same model a date, a revision or
# "latest"; with anything else it is another model, with another price: gpt-4o-mini is not gpt-4o. Exact: the factor
# makes twelve decimal places of six.
PRICED = r"""
    LEFT JOIN LATERAL (
        SELECT
            prices.id, (made.prompt_tokens * prompt_usd + made.completion_tokens * completion_usd) * 0.000001 AS usd
        FROM prices, regexp_replace(made.model, '^models/', '') AS asked
        WHERE prices.provider = made.provider AND valid_from <= made.started_at AND (
            prices.model IN ('', asked) OR starts_with(asked, prices.model)
            AND substr(asked, length(prices.model) + 1) ~ '^[-@:]([0-9]+(-[0-9]+)*|latest)$'
        )
        ORDER BY length(prices.model) DESC, valid_from DESC LIMIT 1
    ) AS price ON true
"""

_PRICE_UNPRICED = f"""
    {PRICES}
    UPDATE llm_call SET price_id = priced.id, cost = priced.usd
    FROM (
        SELECT made.call_id, price.id, price.usd FROM llm_call AS made {PRICED}
        WHERE made.call_id = ANY(%s) AND made.price_id IS NULL AND price.id IS NOT NULL
    ) AS priced
    WHERE llm_call.call_id = priced.call_id AND llm_call.price_id IS NULL
"""


def price_unpriced(calls: QuerySet[Call]) -> int:
    """Price those of the calls whose cost is unknown, where the table knows a price; return how many those were."""
    unpriced = list(calls.filter(price=None).values_list("pk", flat=True))
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_PRICE_UNPRICED, [unpriced])
        priced: int = cursor.rowcount
    return priced
