from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.markdown import render


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def _elements(html: str) -> list[tuple[str, dict[str, str]]]:
    parser = _Elements()
    parser.feed(html)
    parser.close()
    return parser.found


def test_ordinary_markdown_becomes_html() -> None:
    html = render("Some **bold** and `code`.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    for piece in ("<strong>bold</strong>", "<code>code</code>", "<li>one</li>", "<td>1</td>"):
        assert piece in html


def test_fenced_code_keeps_its_text() -> None:
    assert "&lt;b&gt; &amp;&amp; x" in render("```html\n<b> && x\n```")


@pytest.mark.parametrize(("level", "tag"), [(1, "h3"), (2, "h4"), (4, "h6"), (6, "h6")])
def test_headings_stay_below_those_of_the_page(level: int, tag: str) -> None:
    assert render(f"{'#' * level} Title") == f"<{tag}>Title</{tag}>\n"


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)" onclick="alert(1)">x</a>',
        "<svg/onload=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:x)",
        "<style>body{display:none}</style>",
        "<iframe src=https://example.org></iframe>",
        '**<b style="position:fixed">**',
        "`</code><script>alert(1)</script>`",
        '[x](https://example.org "onmouseover=alert(1) \\"x")',
    ],
)
def test_hostile_input_makes_no_active_html(hostile: str) -> None:
    for tag, attributes in _elements(render(hostile)):
        assert tag in {"p", "a", "strong", "em", "code", "b"}
        assert attributes.keys() <= {"href", "title", "rel", "target"}
        assert attributes.get("href", "https:").startswith("https:")


def test_images_are_not_loaded() -> None:
    html = render("![secret](https://example.org/?q=secret)")
    assert "<img" not in html


def test_links_tell_the_other_site_nothing_and_leave_the_page_open() -> None:
    html = render("[x](https://example.org/)")
    assert 'href="https://example.org/"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert 'target="_blank"' in html


def test_a_relative_link_leads_to_no_page_of_this_site() -> None:
    for target in ("/sign-out/", "//example.org/", "sign-out/", "?x", "#y"):
        assert "href" not in render(f"[sign out]({target})")


def test_deep_nesting_ends() -> None:
    assert render(">" * 5000 + "x")
    assert render("[" * 5000)


@given(st.text())
def test_any_text_is_rendered(text: str) -> None:
    assert not [tag for tag, _ in _elements(render(text)) if tag in {"script", "img", "style", "iframe"}]
