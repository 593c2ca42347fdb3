import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.markdown import render
from tests.llm.markdown import DOCUMENTS, PAYLOADS, faults


def test_ordinary_markdown_becomes_html() -> None:
    html = render("Some **bold** and `code`.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    for piece in ("<strong>bold</strong>", "<code>code</code>", "<li>one</li>", "<td>1</td>"):
        assert piece in html


def test_fenced_code_keeps_its_text() -> None:
    assert "&lt;b&gt; &amp;&amp; x" in render("```\n<b> && x\n```")


@pytest.mark.parametrize(("level", "tag"), [(1, "h3"), (2, "h4"), (4, "h6"), (6, "h6")])
def test_headings_stay_below_those_of_the_page(level: int, tag: str) -> None:
    assert render(f"{'#' * level} Title") == f"<{tag}>Title</{tag}>\n"


def test_columns_are_aligned_without_a_style() -> None:
    html = render("| a | b | c |\n|:-|:-:|-:|\n| 1 | 2 | 3 |\n")
    for piece in ('<th align="left">a</th>', '<td align="center">2</td>', '<td align="right">3</td>'):
        assert piece in html
    assert "style" not in html


def test_images_are_not_loaded() -> None:
    html = render("![secret](https://example.org/?q=secret)")
    assert "<img" not in html
    assert ">secret</a>" in html


def test_links_tell_the_other_site_nothing_and_leave_the_page_open() -> None:
    html = render("[x](https://example.org/)")
    assert 'href="https://example.org/"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert 'target="_blank"' in html


@pytest.mark.parametrize(
    "target",
    [
        "/sign-out/",
        "//example.org/",
        "sign-out/",
        "?x",
        "#y",
        "https:sign-out/",
        "HTTPS:/sign-out/",
        "http:?x",
        "",
        " 'title'",
    ],
)
def test_a_relative_link_leads_to_no_page_of_this_site(target: str) -> None:
    assert "href" not in render(f"[sign out]({target})")


@pytest.mark.parametrize("target", ["https://example.org", "HTTP://example.org/", "mailto:a@example.org"])
def test_a_link_to_elsewhere_leads_there(target: str) -> None:
    assert "href" in render(f"[x]({target})")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_makes_nothing_but_allowed_html(name: str) -> None:
    assert faults(render(DOCUMENTS[name])) == []


@pytest.mark.parametrize("payload", [each for kind in PAYLOADS.values() for each in kind])
def test_a_payload_makes_nothing_but_allowed_html(payload: str) -> None:
    assert faults(render(payload)) == []


@pytest.mark.parametrize(
    "html",
    [
        "<img src=x>",
        "<p onclick=x>",
        '<a href="javascript:x" rel="noopener noreferrer nofollow" target="_blank">',
        '<a href="https:x" rel="noopener noreferrer nofollow" target="_blank">',
        '<a href="https://example.org/">',
        "<!-- x -->",
    ],
)
def test_the_check_for_allowed_html_finds_what_is_not(html: str) -> None:
    assert faults(html)


def test_the_corpus_is_large() -> None:
    assert len(DOCUMENTS) >= 60
    assert len({each for kind in PAYLOADS.values() for each in kind}) >= 150


@given(st.text(st.characters()))
def test_any_text_is_rendered(text: str) -> None:
    assert faults(render(text)) == []


def test_half_a_character_is_replaced() -> None:
    assert render("a\ud800b\0") == "<p>a\ufffdb\ufffd</p>\n"


@pytest.mark.parametrize("opening", [">", "- ", "1. ", "> - ", "[", "*", "**", "_a *b ", "`", "<a:", "&#", "![", "|"])
def test_deep_nesting_ends(opening: str) -> None:
    assert render(opening * 5000 + "x")


def test_what_stands_deep_within_lists_and_quotes_is_still_shown() -> None:
    for document in (">" * 500 + " text", "\n".join("  " * depth + "- text" for depth in range(200)) + "\n\nafter"):
        html = render(document)
        assert html.count("text") == document.count("text")
        assert html.count("after") == document.count("after")
        assert html.count("<blockquote>") + html.count("<ul>") <= 20


def test_emphasis_is_no_deeper_than_a_browser_takes() -> None:
    assert render("*" * 60 + "x" + "*" * 60).count("<strong>") == 30
    assert render("*" * 2000 + "x" + "*" * 2000).count("<strong>") == 0


def test_brackets_do_not_keep_links_from_being_made() -> None:
    assert render("[" * 5000 + "\n\n[x](https://example.org/)").count("<a ") == 1
    assert render("[" * 20 + "[x](https://example.org/)").count("<a ") == 1


@pytest.mark.parametrize(("depth", "links"), [(20, 2), (26, 1)])
def test_brackets_within_each_other_are_followed_to_a_certain_depth(depth: int, links: int) -> None:
    address = "(https://example.org/)"
    assert render(f"{'[' * depth}x{']' * depth}{address} and [y]{address}").count("<a ") == links


def test_short_rows_do_not_make_a_table_of_empty_cells() -> None:
    wide = "|a" * 100 + "|\n" + "|-" * 100 + "|\n"
    assert render(wide + "|\n" * 1000).count("<td") <= 200
    assert render(wide + ("|1" * 100 + "|\n") * 50).count("<td") == 5000


def test_one_definition_is_not_repeated_beyond_measure() -> None:
    document = "[a] " * 400 + "\n\n[a]: https://example.org/"
    assert render(document).count("<a ") == 400
    assert "<a " not in render(document + "x" * 1000)
    assert "<a " not in render(f"[{'a' * 1000}]\n\n[{'a' * 1000}]: https://example.org/")
