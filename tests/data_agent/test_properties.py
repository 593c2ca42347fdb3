import pytest

from data_agent import execution, guard, hints, properties
from data_agent.demo_data import DemoData
from data_agent.samples import Known, Property
from tests.data_agent.corpus import legitimate
from tests.data_agent.rewriting import rewritten, written

PRODUCTS = "FROM analytics_product_specs"
BOUGHT = f"{PRODUCTS} s JOIN analytics_purchases p ON p.product_name = s.name"
KNOWN = Known(
    {
        "analytics_product_specs.category": ("Printers", "Speakers", "Laptops"),
        "analytics_product_specs.brand": ("Norvik", "Laser"),
        "analytics_product_specs.name": ("Norvik Press 3 Printer",),
    },
    {
        "Printers": (
            Property("technology", "string", ("inkjet", "laser")),
            Property("pages_per_minute", "number"),
            Property("duplex", "boolean"),
        ),
        "Laptops": (Property("ram_gb", "number"), Property("size", "number"), Property("panel", "string", ("matte",))),
        "Speakers": (Property("size", "string"), Property("water_proof", "boolean")),
    },
)
AS_COLUMN = "weight_kg is taken from the column of that name now; specs has no such key."
AS_NUMBER = "ram_gb of specs is read as a number now, not as text."


def corrected(sql: str) -> tuple[str, list[str]]:
    return rewritten(sql, lambda tree: properties.correct(tree, KNOWN))


@pytest.mark.parametrize(
    ("sql", "right"),
    [
        (
            f"SELECT brand, min(specs ->> 'weight_kg') {PRODUCTS} GROUP BY 1",
            f"SELECT brand, min(weight_kg) {PRODUCTS} GROUP BY 1",
        ),
        (
            f"SELECT name {PRODUCTS} s WHERE (s.specs ->> 'weight_kg')::numeric > 5",
            f"SELECT name {PRODUCTS} s WHERE s.weight_kg::numeric > 5",
        ),
        (f"SELECT avg((specs ->> 'weight_kg')::float) {BOUGHT}", f"SELECT avg(s.weight_kg::float) {BOUGHT}"),
        (
            f"SELECT 1 FROM analytics_purchases p WHERE EXISTS (SELECT 1 {PRODUCTS} WHERE specs ->> 'weight_kg' > '5')",
            f"SELECT 1 FROM analytics_purchases p WHERE EXISTS (SELECT 1 {PRODUCTS} WHERE weight_kg > '5')",
        ),
    ],
)
def test_a_key_that_is_a_column_is_that_column(sql: str, right: str) -> None:
    assert corrected(sql) == (written(right), [AS_COLUMN])
    assert guard.check(right).allowed


def test_a_key_that_products_have_is_read_from_specs_whatever_columns_are_called() -> None:
    sql = f"SELECT specs ->> 'rating' {PRODUCTS}"
    known = Known({}, {"Laptops": (Property("rating", "number"),)})
    assert rewritten(sql, lambda tree: properties.correct(tree, known)) == (written(sql), [])
    assert rewritten(sql, lambda tree: properties.correct(tree, Known())) == (written(sql), [])


@pytest.mark.parametrize(
    "template",
    [
        "SELECT max({}) {}",
        "SELECT name {1} WHERE {0} > 16",
        "SELECT name {1} WHERE {0} >= '16'",
        "SELECT name {1} WHERE 16 = {0} AND price > 3",
        "SELECT name {1} WHERE {0} BETWEEN 8 AND 16",
        "SELECT name {1} ORDER BY {0} DESC LIMIT 3",
        "SELECT ({0}) * 2 {1}",
        "SELECT count(*) FILTER (WHERE {0} < 9.5) {1}",
    ],
)
async def test_a_number_is_read_as_one(analytics: DemoData, template: str) -> None:
    key = "specs ->> 'ram_gb'"
    sql, notes = corrected(template.format(key, PRODUCTS))
    assert sql == written(template.format(f"({key})::numeric", PRODUCTS))
    assert notes == [AS_NUMBER]
    await execution.run(guard.check(sql).sql)


async def test_what_the_key_says_is_cast_not_the_key(analytics: DemoData) -> None:
    sql, notes = corrected(f"SELECT avg(specs ->> 'ram_gb'::numeric) {PRODUCTS} WHERE specs ->> 'touch'::text = 'x'")
    assert sql == written(f"SELECT avg((specs ->> 'ram_gb')::numeric) {PRODUCTS} WHERE specs ->> 'touch'::text = 'x'")
    assert notes == ["What specs says is cast now, not the name of the key."]
    await execution.run(guard.check(sql).sql)


async def test_the_most_is_the_largest_number_not_the_last_text(analytics: DemoData) -> None:
    largest, memories = f"SELECT max(specs ->> 'ram_gb') {PRODUCTS}", f"SELECT specs ->> 'ram_gb' {PRODUCTS}"
    found = [await execution.run(guard.check(text).sql) for text in (corrected(largest)[0], memories)]
    assert found[0].rows[0][0] == str(max(int(row[0]) for row in found[1].rows if row[0]))


@pytest.mark.parametrize(
    "template",
    ["SELECT name {1} WHERE {0}", "SELECT name {1} WHERE NOT {0} OR price < 9", "SELECT name {1} WHERE {0} = true"],
)
@pytest.mark.parametrize("operator", ["->", "->>"])
async def test_true_or_false_is_read_as_that(analytics: DemoData, template: str, operator: str) -> None:
    sql, notes = corrected(template.format(f"(specs {operator} 'duplex')", PRODUCTS))
    assert sql == written(template.format("(specs ->> 'duplex')::boolean", PRODUCTS))
    assert notes == ["duplex of specs is read as true or false now, not as text."]
    await execution.run(guard.check(sql).sql)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT name {PRODUCTS} WHERE (specs ->> 'ram_gb')::int > 16 ORDER BY (specs ->> 'ram_gb')::numeric",
        f"SELECT name {PRODUCTS} WHERE specs ->> 'ram_gb' = '16' AND specs ->> 'technology' = 'laser'",
        f"SELECT name {PRODUCTS} WHERE specs -> 'ram_gb' > '16'",
        f"SELECT name {PRODUCTS} ORDER BY specs -> 'ram_gb'",
        f"SELECT DISTINCT specs ->> 'ram_gb' {PRODUCTS} ORDER BY specs ->> 'ram_gb'",
        f"SELECT max(specs ->> 'technology') {PRODUCTS} ORDER BY max(specs ->> 'technology')",
        # A number with some products, a text with others.
        f"SELECT max(specs ->> 'size') {PRODUCTS}",
        f"SELECT max(specs ->> 'unheard_of') {PRODUCTS}",
        f"SELECT specs ->> 'ram_gb' FROM (SELECT specs {PRODUCTS}) AS x WHERE specs ->> 'weight_kg' > '5'",
        f"SELECT x.specs ->> 'weight_kg' FROM (SELECT specs {PRODUCTS}) AS x",
        f"SELECT weight_kg, specs {PRODUCTS} WHERE specs ->> 'duplex' = 'true'",
    ],
)
def test_what_is_right_or_not_clear_stays(sql: str) -> None:
    assert corrected(sql) == (written(sql), [])


@pytest.mark.parametrize(
    ("value", "own"),
    [
        ("inkjet printer", ("category = 'Printers'", "specs ->> 'technology' = 'inkjet'")),
        ("Duplex printers", ("category = 'Printers'", "(specs ->> 'duplex')::boolean")),
        ("water-proof speakers", ("category = 'Speakers'", "(specs ->> 'water_proof')::boolean")),
        ("Norvik Laptop", ("category = 'Laptops'", "brand = 'Norvik'")),
        # A brand is called that too.
        ("Laser printers", ()),
        ("matte printers", ()),
        ("Printers", ()),
        ("inkjet", ()),
        ("cheap inkjet printers", ()),
        ("", ()),
    ],
)
def test_what_a_name_stands_for(value: str, own: tuple[str, ...]) -> None:
    assert properties.named(value, KNOWN) == own


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        (
            "p.product_name = 'Inkjet printers'",
            f"p.product_name IN (SELECT name {PRODUCTS} "
            "WHERE category = 'Printers' AND specs ->> 'technology' = 'inkjet')",
        ),
        ("s.category = 'Inkjet printers'", "s.category = 'Printers' AND s.specs ->> 'technology' = 'inkjet'"),
    ],
)
async def test_products_are_looked_for_by_what_their_name_says(analytics: DemoData, condition: str, meant: str) -> None:
    mended = hints.mend(f"SELECT sum(p.quantity) {BOUGHT} WHERE {condition}", KNOWN)
    assert mended.sql == written(f"SELECT sum(p.quantity) {BOUGHT} WHERE {meant}")
    assert mended.problems == ()
    assert "it is looked for by category = 'Printers' AND specs ->> 'technology' = 'inkjet'" in mended.notes[0]
    assert (await execution.run(guard.check(mended.sql).sql)).rows[0][0]


def test_another_comparison_with_such_a_name_is_a_problem() -> None:
    for condition in ("p.product_name <> 'Inkjet printers'", "p.product_name IN ('Inkjet printers', 'x')"):
        sql = f"SELECT sum(p.quantity) {BOUGHT} WHERE {condition}"
        mended = hints.mend(sql, KNOWN)
        assert mended.sql == sql
        assert mended.problems[0].startswith("No row has product_name = 'Inkjet printers'")


def test_the_analysts_queries_are_left_alone() -> None:
    for statement in legitimate():
        assert corrected(statement.sql)[1] == [], statement.sql
