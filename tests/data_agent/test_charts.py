from itertools import pairwise
from xml.etree import ElementTree

import pytest

from data_agent import charts
from data_agent.execution import ResultColumn

MONTH = ResultColumn("month", "date", False)
YEAR = ResultColumn("year", "int4", True)
COUNTRY = ResultColumn("country", "text", False)
REVENUE = ResultColumn("revenue", "numeric", True)
PRICE = ResultColumn("price", "numeric", True)
ID = ResultColumn("user_id", "int8", True)

MONTHS = [(f"2025-{month:02}-01", str(month * 1.5)) for month in range(1, 13)]
COUNTRIES = [("Germany", "12"), ("Japan <&>", "7.5"), ("France", None)]
POINTS = [(str(number), str(number * number)) for number in range(12)]

SVG = "{http://www.w3.org/2000/svg}"
# Of a chart's figures, in pixels.
LETTER = 6.5


@pytest.mark.parametrize(
    ("columns", "rows", "kind"),
    [
        ([MONTH, REVENUE], MONTHS, "line"),
        ([YEAR, REVENUE], [("2024", "5"), ("2025", "7")], "line"),
        (
            [MONTH, COUNTRY, REVENUE],
            [("2025-01-01", "A", "1"), ("2025-02-01", "A", "2"), ("2025-01-01", "B", "3")],
            "line",
        ),
        ([COUNTRY, REVENUE], COUNTRIES, "bar"),
        ([ID, COUNTRY, REVENUE], [("1", "A", "2"), ("2", "B", "3")], "bar"),
        ([PRICE, REVENUE], POINTS, "scatter"),
    ],
)
def test_the_shape_of_a_result_suggests_a_chart(columns: list[ResultColumn], rows: list[tuple[str]], kind: str) -> None:
    found = charts.suggest(columns, rows)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ([REVENUE], [("5",)]),
        ([MONTH, REVENUE], []),
        ([COUNTRY, REVENUE], [("Germany", "12")]),
        ([COUNTRY, COUNTRY], [("a", "b"), ("c", "d")]),
        ([ID, ID], POINTS),
        ([COUNTRY, REVENUE], [("same", "1"), ("same", "2")]),
        ([COUNTRY, REVENUE], [(str(number), "1") for number in range(200)]),
        ([COUNTRY, REVENUE], [("a", None), ("b", None)]),
        ([PRICE, REVENUE], POINTS[:3]),
    ],
)
def test_other_shapes_are_tables(columns: list[ResultColumn], rows: list[tuple[str]]) -> None:
    assert charts.suggest(columns, rows) is None


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ([MONTH, REVENUE], MONTHS),
        ([MONTH, REVENUE], [("infinity", "1"), ("2025-01-01", "2")]),
        ([COUNTRY, REVENUE], COUNTRIES),
        ([PRICE, REVENUE], POINTS),
        ([COUNTRY, REVENUE], [("NaN", "NaN"), ("b\x01", "Infinity")]),
        ([YEAR, REVENUE], [("-999999999", "1"), ("999999999", "2")]),
    ],
)
def test_a_picture_holds_no_script_and_says_what_it_shows(columns: list[ResultColumn], rows: list[tuple[str]]) -> None:
    suggestion = charts.suggest(columns, rows)
    if suggestion is None:
        return
    svg = charts.render(columns, rows, suggestion, "Revenue <script>alert(1)</script> & more")
    tree = ElementTree.fromstring(svg)
    assert tree.get("role") == "img"
    assert tree[0].text == "Revenue <script>alert(1)</script> & more"
    assert (tree[1].text or "").startswith(suggestion.label)
    names = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert "script" not in names
    assert names.count("style") == 1
    assert not any(
        "style" in element.attrib or any(name.startswith("on") for name in element.attrib) for element in tree.iter()
    )
    assert "http://www.kozea" not in svg
    assert charts.style_of(svg)


def test_all_values_are_drawn() -> None:
    suggestion = charts.suggest([COUNTRY, REVENUE], COUNTRIES)
    assert suggestion is not None
    svg = charts.render([COUNTRY, REVENUE], COUNTRIES, suggestion, "Revenue")
    assert svg.count('class="bar"') == 2
    for name in ("Germany", "Japan &lt;&amp;&gt;", "France"):
        assert name in svg


@pytest.mark.parametrize("size", [charts.WIDE, charts.NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("largest", [302177.66, 12345678901, 0.5])
@pytest.mark.parametrize(("column", "names"), [(COUNTRY, "abcdefghijkl"), (PRICE, None)], ids=["bar", "scatter"])
def test_figures_along_an_axis_do_not_run_into_each_other(
    column: ResultColumn, names: str | None, largest: float, size: charts.Size
) -> None:
    sizes = [str(largest * number / 12) for number in range(1, 13)]
    rows = list(zip(names or sizes, sizes, strict=True))
    suggestion = charts.suggest([column, REVENUE], rows)
    assert suggestion is not None
    tree = ElementTree.fromstring(charts.render([column, REVENUE], rows, suggestion, "Revenue", size))
    figures = [
        (float(text.get("x", "")), len(text.text or ""))
        for axis in tree.iter(f"{SVG}g")
        if "axis x" in axis.get("class", "")
        for text in axis.iter(f"{SVG}text")
    ]
    assert len(figures) > 1
    # Each is centred on its line.
    for (left, letters), (right, more) in pairwise(sorted(figures)):
        assert right - left > (letters + more) / 2 * LETTER
