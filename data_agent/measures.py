"""Lets a query count what its question asks for: customers, purchases or pieces.

A row of the purchases is one product in an order, with a quantity. Small models count its rows where customers or
pieces are asked for, and add the quantities up where "how many times" is. Only where the words leave no doubt is
something changed; the guard judges what comes of it, and the card says it.
"""

import re
from collections.abc import Iterator
from typing import Any

from config.sentences import say
from data_agent import conditions, wording
from data_agent.guard.trees import own_parts, parts, tables
from data_agent.samples import Known
from data_agent.schema import PRODUCT_SPECS, PURCHASES, USERS

# "How many customers", but not "how many laptops did customers buy".
_CUSTOMERS = re.compile(
    r"\bhow many\s+(?:(?!(?:did|do|does|were|was|are|have|has|had|by|of|for|from|in|per)\b)\w+\s+){0,2}"
    r"(?:customers|users|people|buyers|clients)\b",
    re.IGNORECASE,
)
# "How many units", "total items", "in units", "units sold".
_PIECES = re.compile(
    r"\b(?:how many|number of|count(?:\s+of)?|total|sum of)\s+"
    r"(?:(?!(?:have|has|had|did|do|does|bought|with|of|in|by|from|line|price|prices)\b)\w+\s+){0,2}"
    r"(?:pieces|units|items)\b|\bin\s+(?:units|pieces)\b|\((?:in\s+)?(?:units|pieces)\)|"
    r"(?<!\d )(?<!several )(?<!many )\b(?:units|pieces)\s+"
    r"(?:(?:were|was|are|have been)\s+)?(?:sold|bought|ordered|purchased)\b",
    re.IGNORECASE,
)
# "How many purchases have more than ten pieces": something else is counted.
_OTHERS = re.compile(
    r"\b(?:how many|number of)\s+(?:(?!(?:units|pieces|items)\b)\w+\s+){0,2}(?:purchases|orders|times|transactions|"
    r"customers|users|people|buyers|clients|products|brands|countries|categories)\b|\b(?:different|distinct|unique)\b",
    re.IGNORECASE,
)
# "How many tablets were sold": a product or a category, and what became of it.
_THINGS_SOLD = re.compile(
    r"\bhow many\s+(?P<things>[\w -]+?(?:\s*\([^()]*\))?)\s+(?:were|was|are|have|has|did|do|does)\b"
    r".*\b(?:sold|bought|ordered|purchased|buy|order|purchase|sell)\b",
    re.IGNORECASE,
)
_THINGS = frozenset({f"{PRODUCT_SPECS.name}.category", f"{PRODUCT_SPECS.name}.name"})


def correct(tree: Any, question: str, known: Known) -> list[str]:
    """Change a parse tree where it counts something else than its question; return what was changed, in sentences."""
    notes: list[str] = []
    select = tree.stmts[0].stmt.select_stmt
    if _CUSTOMERS.search(question) and (_count_customers(select) or _count_no_names(select)):
        notes.append(say("Each customer is counted once now, however often they bought."))
    elif asks_for_pieces(question, known) and _count_pieces(select):
        notes.append(say("Pieces are counted now, not purchases."))
    if _count_times(tree, question) or _select_by_times(select, question):
        notes.append(say("Purchases are counted now, not pieces."))
    return notes


def _count_customers(select: Any) -> bool:
    alias = _name_of(select, PURCHASES.name)
    call = _only_count(select)
    if alias is None or call is None or call.agg_distinct:
        return False
    call.agg_star, call.agg_distinct = False, True
    _set_column(call, alias, "user_id")
    return True


def _count_no_names(select: Any) -> bool:
    """Two customers may have one name."""
    alias = _name_of(select, USERS.name)
    call = _only_count(select)
    if alias is None or call is None or not call.agg_distinct or len(call.args) != 1:
        return False
    path = [each.string.sval for each in call.args[0].column_ref.fields]
    if path not in (["name"], [alias, "name"]):
        return False
    _set_column(call, alias, "id")
    return True


def asks_for_pieces(question: str, known: Known) -> bool:
    """Whether a question asks how many pieces were bought, not how often something was."""
    if _PIECES.search(question):
        return not _OTHERS.search(question)
    sold = _THINGS_SOLD.search(question)
    return sold is not None and any(column in _THINGS for column, _ in known.mentioned(sold["things"]))


def _count_pieces(select: Any) -> bool:
    alias = _name_of(select, PURCHASES.name)
    call = _only_count(select)
    reads_it = any(
        message.DESCRIPTOR.name == "ColumnRef" and message.fields and message.fields[-1].string.sval == "quantity"
        for message in parts(select)
    )
    if alias is None or call is None or call.agg_distinct or reads_it:
        return False
    call.agg_star = False
    call.funcname[-1].string.sval = "sum"
    _set_column(call, alias, "quantity")
    return True


def _count_times(tree: Any, question: str) -> bool:
    """Count rows where the sum of the quantities is compared with the number of times in the question."""
    times = wording.times(question)
    changed = False
    for message in parts(tree):
        if message.DESCRIPTOR.name != "A_Expr":
            continue
        for one, other in ((message.lexpr, message.rexpr), (message.rexpr, message.lexpr)):
            call = one.func_call
            fields = call.args[0].column_ref.fields if len(call.args) == 1 else ()
            if (
                one.WhichOneof("node") == "func_call"
                and call.funcname[-1].string.sval == "sum"
                and fields
                and fields[-1].string.sval == "quantity"
                and other.a_const.WhichOneof("val") == "ival"
                and other.a_const.ival.ival in times
            ):
                call.funcname[-1].string.sval = "count"
                call.agg_star = True
                del call.args[:]
                changed = True
    return changed


def _select_by_times(select: Any, question: str) -> bool:
    """Count who bought so often, where a purchase's own quantity is compared with the number of times."""
    condition, value = select.where_clause.a_expr, select.where_clause.a_expr.rexpr.a_const
    fields = [each.string.sval for each in condition.lexpr.column_ref.fields]
    if (
        not _CUSTOMERS.search(question)
        or _only_count(select) is None
        or not fields
        or fields[-1] != "quantity"
        or value.WhichOneof("val") != "ival"
        or value.ival.ival not in wording.times(question)
    ):
        return False
    text = (
        f"user_id IN (SELECT user_id FROM {PURCHASES.name} GROUP BY user_id "
        f"HAVING count(*) {condition.name[-1].string.sval} {value.ival.ival})"
    )
    made = conditions.read(text)
    column = made.sub_link.testexpr.column_ref
    column.CopyFrom(condition.lexpr.column_ref)
    column.fields[-1].string.sval = "user_id"
    select.where_clause.CopyFrom(made)
    return True


def _only_count(select: Any) -> Any | None:
    """Return the one count of a SELECT, if it has one and it is no window's."""
    calls = [call for target in select.target_list for call in _counts(target)]
    return calls[0] if len(calls) == 1 and not calls[0].HasField("over") else None


def _counts(target: Any) -> Iterator[Any]:
    for message in own_parts(target):
        if message.DESCRIPTOR.name == "FuncCall" and message.funcname[-1].string.sval == "count":
            yield message


def _name_of(select: Any, table: str) -> str | None:
    return next((name for name, each in tables(select.from_clause) if each == table), None)


def _set_column(call: Any, alias: str, name: str) -> None:
    del call.args[:]
    column = call.args.add().column_ref
    for text in (alias, name):
        column.fields.add().string.sval = text
