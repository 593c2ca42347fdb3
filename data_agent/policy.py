"""What a query may consist of. Everything that is not listed here is refused.

A change of a list changes `VERSION`, and so ends approvals that were made under the old one; a change of the rules in
`guard.py` or `inspection.py` must raise `RULES` by hand.
"""

import hashlib

from data_agent.schema import TABLES

RULES = 1


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_BYTES = 10_000
DEFAULT_ROWS = 100
MAX_ROWS = 1_000
# A sub-query's expression is copied to each place that names it, so a short text can become an endless plan.
MAX_EXPANDED_NODES = 5_000
MAX_RELATIONS = 12

# Types of parse tree nodes, as libpg_query calls them.
NODES = _words(
    "A_ArrayExpr A_Const A_Expr A_Indices A_Indirection BoolExpr BooleanTest CaseExpr CaseWhen CoalesceExpr ColumnRef "
    "CommonTableExpr FuncCall GroupingFunc GroupingSet JoinExpr List MinMaxExpr NamedArgExpr NullTest RangeFunction "
    "RangeSubselect RangeVar ResTarget RowExpr SelectStmt SortBy SQLValueFunction String SubLink TypeCast TypeName "
    "WindowDef WithClause"
)

# Left out on purpose: functions that make much out of little (repeat, lpad, rpad, format, replace), that read files,
# settings or catalogues, that take locks, wait or send, that run other SQL.
FUNCTIONS = _words(
    # aggregates
    "count sum avg min max bool_and bool_or every string_agg array_agg jsonb_agg stddev stddev_pop stddev_samp "
    "variance var_pop var_samp corr covar_pop covar_samp regr_slope regr_intercept regr_r2 regr_count "
    "percentile_cont percentile_disc mode "
    # window
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value "
    # dates
    "date_trunc date_part date_bin extract age now to_char to_date to_timestamp make_date make_interval timezone "
    "justify_days justify_hours justify_interval overlaps "
    # numbers
    "abs ceil ceiling floor round trunc sqrt cbrt power exp ln log mod div sign width_bucket to_number "
    # texts
    "lower upper initcap length char_length character_length substring substr left right btrim ltrim rtrim position "
    "strpos split_part concat concat_ws reverse starts_with similar_to_escape like_escape "
    # JSON and arrays
    "jsonb_typeof jsonb_array_length jsonb_extract_path jsonb_extract_path_text jsonb_object_keys jsonb_each "
    "jsonb_each_text jsonb_array_elements jsonb_array_elements_text array_length array_to_string cardinality unnest "
    # rows out of nothing
    "generate_series"
)

# Functions that may stand in FROM, with their columns; None: one column, named like the alias.
TABLE_FUNCTIONS: dict[str, tuple[str, ...] | None] = {
    "generate_series": None,
    "unnest": None,
    "jsonb_object_keys": None,
    "jsonb_array_elements": ("value",),
    "jsonb_array_elements_text": ("value",),
    "jsonb_each": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
}

TYPES = _words(
    "int2 int4 int8 smallint integer int bigint numeric decimal float4 float8 real text varchar bool boolean date "
    "time timetz timestamp timestamptz interval json jsonb"
)

OPERATORS = _words("+ - * / % ^ = <> != < <= > >= || ~~ !~~ ~~* !~~* ~ ~* !~ !~* -> ->> #> #>> @> <@ ? ?| ?& &&") | {
    "BETWEEN",
    "NOT BETWEEN",
    "BETWEEN SYMMETRIC",
    "NOT BETWEEN SYMMETRIC",
}

# current_user and its like tell nothing about the data.
SQL_VALUES = _words(
    "SVFOP_CURRENT_DATE SVFOP_CURRENT_TIME SVFOP_CURRENT_TIME_N SVFOP_CURRENT_TIMESTAMP SVFOP_CURRENT_TIMESTAMP_N "
    "SVFOP_LOCALTIME SVFOP_LOCALTIME_N SVFOP_LOCALTIMESTAMP SVFOP_LOCALTIMESTAMP_N"
)

_CONTENT = [
    MAX_BYTES,
    DEFAULT_ROWS,
    MAX_ROWS,
    MAX_EXPANDED_NODES,
    MAX_RELATIONS,
    *(sorted(each) for each in (NODES, FUNCTIONS, TYPES, OPERATORS, SQL_VALUES)),
    sorted(TABLE_FUNCTIONS.items()),
    [(table.name, table.column_names) for table in TABLES],
]
VERSION = f"{RULES}-{hashlib.sha256(repr(_CONTENT).encode()).hexdigest()[:12]}"
