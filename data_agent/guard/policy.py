"""What a query may consist of. Everything that is not listed here is refused.

A change of a list changes `VERSION`, and so ends approvals that were made under the old one; a change of the rules in
`verdict.py` and what it calls must raise `RULES` by hand.
"""

import hashlib

from data_agent.schema import TABLES

RULES = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_BYTES = 10_000
DEFAULT_ROWS = 100
MAX_ROWS = 1_000
# A sub-query's expression is copied to each place that names it, so a short text can become an endless plan.
MAX_EXPANDED_NODES = 5_000
# Tables read, each as often as it is named, also through names in WITH; and side by side in one FROM, since the time to
# plan grows with each.
MAX_RELATIONS = 60
MAX_JOINED = 12
# Bounds on what functions make of their arguments: rows of a series and of all series side by side, times of repeat,
# characters of lpad and of a separator, and by how much all of them together may lengthen a text.
MAX_SERIES = 100_000
MAX_SERIES_TOGETHER = 10_000_000
MAX_REPEAT = 100
MAX_WIDTH = 200
MAX_SEPARATOR = 100
MAX_GROWTH = 1_000
# Numbers of a hundred thousand digits keep a server busy for seconds.
MAX_EXPONENT = 1_000

# Types of parse tree nodes in expressions, as libpg_query calls them.
NODES = _words(
    "A_ArrayExpr A_Const A_Expr A_Indices A_Indirection BoolExpr BooleanTest CaseExpr CaseWhen CoalesceExpr "
    "CollateClause ColumnRef FuncCall GroupingFunc GroupingSet JsonArgument JsonBehavior JsonFormat JsonFuncExpr "
    "JsonOutput JsonReturning JsonValueExpr List MinMaxExpr NamedArgExpr NullTest RowExpr SelectStmt SortBy "
    "SQLValueFunction String SubLink TypeCast TypeName WindowDef"
)

# Left out on purpose: functions that read files, settings or catalogues, that take locks, wait or send, that run other
# SQL or give XML. Some that make much out of little are bounded by `calls.py`.
FUNCTIONS = _words(
    # aggregates
    "count sum avg min max bool_and bool_or every any_value bit_and bit_or bit_xor string_agg array_agg json_agg "
    "jsonb_agg json_object_agg jsonb_object_agg stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop "
    "covar_samp regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy "
    "percentile_cont percentile_disc mode "
    # window
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value "
    # dates
    "date_trunc date_part date_bin date_add date_subtract extract age now statement_timestamp transaction_timestamp "
    "to_char to_date to_timestamp make_date make_time make_timestamp make_timestamptz make_interval timezone date "
    "isfinite justify_days justify_hours justify_interval overlaps "
    # ranges
    "daterange tsrange tstzrange int4range int8range numrange isempty lower_inc upper_inc lower_inf upper_inf "
    "range_merge "
    # numbers
    "abs ceil ceiling floor round trunc sqrt cbrt power pow exp ln log log10 mod div sign gcd lcm pi degrees radians "
    "sin cos tan cot asin acos atan atan2 sinh cosh tanh width_bucket to_number scale trim_scale min_scale random "
    "num_nulls num_nonnulls "
    # texts
    "lower upper initcap length char_length character_length octet_length bit_length substring substr left right btrim "
    "ltrim rtrim position strpos split_part concat concat_ws reverse starts_with similar_to_escape like_escape "
    "translate overlay ascii chr md5 normalize is_normalized to_hex repeat lpad rpad replace format "
    "regexp_replace regexp_match regexp_matches regexp_count regexp_substr regexp_instr regexp_like "
    "regexp_split_to_array regexp_split_to_table string_to_array string_to_table "
    # JSON
    "json_typeof json_array_length json_extract_path json_extract_path_text json_object_keys json_each json_each_text "
    "json_array_elements json_array_elements_text json_build_object json_build_array json_strip_nulls to_json "
    "row_to_json array_to_json json_to_record json_to_recordset "
    "jsonb_typeof jsonb_array_length jsonb_extract_path jsonb_extract_path_text jsonb_object_keys jsonb_each "
    "jsonb_each_text jsonb_array_elements jsonb_array_elements_text jsonb_build_object jsonb_build_array "
    "jsonb_strip_nulls jsonb_pretty jsonb_set jsonb_insert to_jsonb jsonb_to_record jsonb_to_recordset jsonb_exists "
    "jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first "
    # arrays
    "array_length array_to_string array_position array_positions array_append array_prepend array_cat array_remove "
    "array_replace array_upper array_lower array_ndims array_dims trim_array cardinality unnest generate_subscripts "
    # rows out of nothing
    "generate_series"
)
# Harmless, though PostgreSQL calls it volatile: a sample is drawn with it.
VOLATILE = _words("random")

# Functions that may stand in FROM, with their columns; None: one column, named like the alias.
TABLE_FUNCTIONS: dict[str, tuple[str, ...] | None] = {
    "generate_series": None,
    "generate_subscripts": None,
    "unnest": None,
    "regexp_matches": None,
    "regexp_split_to_table": None,
    "string_to_table": None,
    "jsonb_object_keys": None,
    "jsonb_path_query": None,
    "jsonb_array_elements": ("value",),
    "jsonb_array_elements_text": ("value",),
    "jsonb_each": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
    "json_object_keys": None,
    "json_array_elements": ("value",),
    "json_array_elements_text": ("value",),
    "json_each": ("key", "value"),
    "json_each_text": ("key", "value"),
}
# These too, with columns that the query declares.
RECORD_FUNCTIONS = _words("json_to_record json_to_recordset jsonb_to_record jsonb_to_recordset")

TYPES = _words(
    "int2 int4 int8 smallint integer int bigint numeric decimal float4 float8 real text varchar bpchar bool boolean "
    "date time timetz timestamp timestamptz interval json jsonb jsonpath uuid money daterange tsrange tstzrange "
    "int4range int8range numrange"
)

COLLATIONS = _words("C POSIX default ucs_basic unicode und-x-icu en-x-icu en-US-x-icu en_US de-x-icu")

OPERATORS = _words(
    "+ - * / % ^ = <> != < <= > >= || ~~ !~~ ~~* !~~* ~ ~* !~ !~* ^@ |/ ||/ @ & | # << >> "
    "-> ->> #> #>> #- @> <@ ? ?| ?& && @? -|- &< &>"
) | {
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
    (MAX_BYTES, DEFAULT_ROWS, MAX_ROWS, MAX_EXPANDED_NODES, MAX_RELATIONS, MAX_JOINED),
    (MAX_SERIES, MAX_SERIES_TOGETHER, MAX_REPEAT, MAX_WIDTH, MAX_SEPARATOR, MAX_GROWTH, MAX_EXPONENT),
    *(sorted(each) for each in (NODES, FUNCTIONS, RECORD_FUNCTIONS, TYPES, COLLATIONS, OPERATORS, SQL_VALUES)),
    [(name, TABLE_FUNCTIONS[name]) for name in sorted(TABLE_FUNCTIONS)],
    [(table.name, table.column_names, table.personal_columns) for table in TABLES],
]
VERSION = f"{RULES}-{hashlib.sha256(repr(_CONTENT).encode()).hexdigest()[:12]}"
