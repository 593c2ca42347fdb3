"""Takes out of a query what its question does not ask for, and what small models take over from examples.

A condition on completed purchases, the purchases themselves, a LIMIT, the figure beside the one that has the most.
Nothing is changed where the words leave it open. The guard judges what comes of it, and the card says it: who wants it
back says so.
"""

import re
from typing import Any

import postgast

from config.sentences import say
from data_agent import conditions, wording
from data_agent.guard.policy import DEFAULT_ROWS
from data_agent.guard.trees import own_parts, parts, tables
from data_agent.samples import Known
from data_agent.schema import PURCHASES, SCHEMA

# A word or two leave open what is asked for.
_FEWEST_WORDS = 3
# Where money is asked for, or the purchases' status, completed ones may be meant.
_COMPLETED = re.compile(
    r"revenue|turnover|\bsales?\b|\bsold\b|\bsell|earn|income|\bspen[dt]|\bvalue|\bamount|\bmoney|\bprofit|\bworth\b|"
    r"\bhow much\b.*\bp(?:ay|aid)\b|\bbr(?:ing|ought)|generat|complet|status|success|refund|cancel|pending|return",
    re.IGNORECASE,
)
# That of a purchase is what total_amount says of any, whatever became of it.
_AMOUNT_OF_A_PURCHASE = re.compile(
    r"\bamounts?\s+(?:of|for|per)\s+(?:(?:a|an|the|all|each|every|one|single|individual)\s+)*(?:purchase|order)s?\b|"
    r"\b(?:purchase|order)\s+amounts?\b",
    re.IGNORECASE,
)
_SUPERLATIVE = re.compile(
    r"\b(?!(?:inter|requ|for|harv)est\b)(?:most|least|top|bottom|first|last|\w{2,}est)\b",
    re.IGNORECASE,
)
_FEW = re.compile(r"\b(?:some|few|examples?|samples?|recent|recently|preview|limit)\b", re.IGNORECASE)
_JOINS = (postgast.pg_query_pb2.JOIN_INNER, postgast.pg_query_pb2.JOIN_LEFT)
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# "Which month had the highest revenue?", but not "... and how much was it?".
_ONE = re.compile(
    r"^\W*(?:(?:in|on|for|from|at|to|of|by)\s+)?(?:which|what|who)\b(?!.*(?:\b(?:and|with|how|along|including|each|every|"
    r"per|show|also)\b|,))",
    re.IGNORECASE | re.DOTALL,
)


def take_out(tree: Any, said: str, known: Known) -> list[str]:
    """Change a parse tree; return what was changed, in sentences. `said` is all that the person said so far."""
    notes: list[str] = []
    if len(said.split()) < _FEWEST_WORDS:
        return notes
    select = tree.stmts[0].stmt.select_stmt
    if not _COMPLETED.search(_AMOUNT_OF_A_PURCHASE.sub(" ", said)) and _any_status(tree):
        notes.append(say("Purchases of every status count now: the question does not ask for completed ones."))
    if not wording.speaks_of_purchases(said, known) and _without_purchases(select, said, known):
        notes.append(say("analytics_purchases was taken out: the question does not speak of purchases."))
    if _has_unasked_limit(select, said):
        select.ClearField("limit_count")
        select.limit_option = postgast.pg_query_pb2.LIMIT_OPTION_DEFAULT
        notes.append(say("LIMIT was taken out: the question asks for no number of rows."))
    if _ONE.search(said) and _SUPERLATIVE.search(said) and _leave_the_one(select):
        notes.append(say("What the rows are sorted by is not shown: the question does not ask for it."))
    return notes


def _any_status(tree: Any) -> bool:
    selects = [message for message in parts(tree) if message.DESCRIPTOR.name == "SelectStmt"]
    changed = [conditions.take_out(select, _is_completed) for select in selects]
    return any(changed)


def _is_completed(node: Any) -> bool:
    fields = node.a_expr.lexpr.column_ref.fields
    return bool(
        node.WhichOneof("node") == "a_expr"
        and node.a_expr.name[-1].string.sval == "="
        and fields
        and fields[-1].string.sval == "status"
        and node.a_expr.rexpr.a_const.sval.sval == "completed"
    )


def _without_purchases(select: Any, said: str, known: Known) -> bool:
    """Read a table alone that is joined to the purchases, where nothing of theirs is read: they only multiply it."""
    if len(select.from_clause) != 1 or select.from_clause[0].WhichOneof("node") != "join_expr":
        return False
    (item,) = select.from_clause
    names = dict(tables([item]))
    others = [name for name, table in names.items() if table != PURCHASES.name]
    if len(names) != 2 or len(others) != 1 or item.join_expr.jointype not in _JOINS:
        return False
    (other,) = others
    # What is counted may be purchases; an average of prices is none of theirs.
    counts = any(each.funcname[-1].string.sval == "count" for each in own_parts(select) if _is_call(each))
    if not wording.asked_for(said, known) and (counts or not wording.speaks_of(said, names[other])):
        return False
    columns = [each for each in own_parts(select) if each.DESCRIPTOR.name == "ColumnRef"]
    joining = [each for each in own_parts(item) if each.DESCRIPTOR.name == "ColumnRef"]
    read = [[field.string.sval for field in column.fields] for column in columns if column not in joining]
    own = SCHEMA[names[other]].column_names if names[other] in SCHEMA else ()
    outputs = {target.res_target.name for target in select.target_list}
    if not all(path[0] == other if len(path) > 1 else path[0] in own or path[0] in outputs for path in read):
        return False
    left = item.join_expr.larg if other in dict(tables([item.join_expr.larg])) else item.join_expr.rarg
    alone = type(left).FromString(left.SerializeToString())
    item.CopyFrom(alone)
    return True


def _is_call(message: Any) -> bool:
    return bool(message.DESCRIPTOR.name == "FuncCall")


def _has_unasked_limit(select: Any, said: str) -> bool:
    if select.limit_count.a_const.WhichOneof("val") != "ival" or select.HasField("limit_offset"):
        return False
    limit = select.limit_count.a_const.ival.ival
    if limit >= DEFAULT_ROWS:
        # It bounds the rows as the guard would, and picks none.
        return False
    asked = {int(number) for number in re.findall(r"\d{1,9}", said)}
    asked |= {place for place, word in enumerate(_WORDS, 1) if re.search(rf"\b{word}\b", said, re.IGNORECASE)}
    return limit not in asked and not _SUPERLATIVE.search(said) and not _FEW.search(said)


def _leave_the_one(select: Any) -> bool:
    """Leave the figure out by which the one row was found, if it stands last; the row is sorted by it as before."""
    targets = [target.res_target for target in select.target_list]
    if select.limit_count.a_const.ival.ival != 1 or len(select.sort_clause) == 0 or len(targets) < 2:
        return False
    if len(select.distinct_clause) or select.op != postgast.pg_query_pb2.SETOP_NONE:
        return False
    last, key = targets[-1], select.sort_clause[0].sort_by.node
    if not _names(key, last, len(targets)) or any(_names(each, last, len(targets)) for each in select.group_clause):
        return False
    key.CopyFrom(last.val)
    del select.target_list[-1]
    return True


def _names(node: Any, target: Any, place: int) -> bool:
    """Whether what rows are sorted or grouped by is this value of the SELECT: its name, its place or itself."""
    match node.WhichOneof("node"):
        case "a_const":
            return bool(node.a_const.ival.ival == place)
        case "column_ref" if len(node.column_ref.fields) == 1 and target.name:
            return bool(node.column_ref.fields[0].string.sval == target.name)
    return conditions.text(node) == conditions.text(target.val)
