import re
import time
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.highlighting import _LANGUAGES, CLASSES, LONGEST, highlight
from llm.markdown import render
from tests.llm.markdown import faults

_SPAN = re.compile(r'</?span(?: class="([\w-]+)")?>')


def _text(html: str) -> str:
    return unescape(_SPAN.sub("", html))


def test_a_block_that_names_its_language_is_coloured_by_kind() -> None:
    html = render('```python\ndef greet(name):  # says it\n    return "hi" * 2\n```')
    for kind, text in (("keyword", "def"), ("name", "greet"), ("string", '"hi"')):
        assert f'<span class="hl-{kind}">{text}</span>' in html
    assert '<span class="hl-comment"># says it</span>' in html
    assert '<span class="hl-number">2</span>' in html
    assert html.startswith('<pre><code class="language-python">')


@pytest.mark.parametrize("fence", ["```", "```nonsense", "```csharp"])
def test_other_code_is_shown_as_it_is(fence: str) -> None:
    assert "<span" not in render(f"{fence}\nif (a < b) return 1;\n```")


def test_a_long_block_is_shown_as_it_is() -> None:
    line = "return 1\n"
    assert highlight(line * (LONGEST // len(line)), "python")
    assert highlight(line * LONGEST, "python") == ""


@settings(deadline=None)
@given(st.text(max_size=200), st.sampled_from(sorted(_LANGUAGES)))
def test_no_character_is_lost_and_nothing_but_spans_is_made(code: str, language: str) -> None:
    html = highlight(code, language)
    if html:
        assert _text(html) == code
        assert {kind for kind in _SPAN.findall(html) if kind} <= CLASSES
        assert "<" not in _SPAN.sub("", html)


@pytest.mark.parametrize("language", sorted(set(_LANGUAGES.values())))
def test_hostile_code_is_shown_and_costs_little(language: str) -> None:
    for atom in ('"\\', "a.", "\n", "/", "<a "):
        code = (atom * LONGEST)[:LONGEST]
        begin = time.process_time()
        html = highlight(code, language)
        # About 0.1 s at worst. A quadratic lexer takes several seconds.
        assert time.process_time() - begin < 2
        assert html == "" or _text(html) == code
    assert faults(render(f"```{language}\n</code></pre><script>alert(1)</script>\n<span class='x'>\n```")) == []
