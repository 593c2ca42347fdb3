"""Markdown to HTML that is safe to put into a page: a whole document, or an answer that is still growing.

Models repeat what they are told, so their markdown is somebody else's input: raw HTML stays text, images are off (a
remote image is a way to carry data out), links go to the web or to a mail address only, and what the renderer made is
filtered once more against a list of tags. What would cost far more than its length is bounded; each bound below looks
at one block alone, so that a block is rendered in the same way whatever stands around it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, blockquote, list_block, table
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from llm import highlighting

_TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "span"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}, "th": {"align"}, "td": {"align"}}
_CLASSES = {"span": set(highlighting.CLASSES)}
_SCHEMES = {"http", "https", "mailto"}
# An answer stands below the page's own headings, of which the lowest is an h2.
_LEVELS_ABOVE = 2

# The parser's own limit, for brackets above all: their cost is their number times this. It gives 100.
_DEEPEST = 25
# Quotes and lists (which count twice) within each other. What reaches the parser's limit is dropped, which loses text.
_DEEPEST_BLOCK = 20
# Emphasis and links within each other. Browsers flatten a page at 512 levels, of which a page needs some.
_DEEPEST_INLINE = 100
# Cells that short rows of a table lack: `|` can stand for a row of a hundred empty cells.
_MOST_MISSING_CELLS = 100
# CommonMark's own limit for the label of a link reference (spec 0.31, section 6.3).
_LONGEST_LABEL = 999
# A definition's address and title, which each use of the definition repeats.
_LONGEST_DEFINITION = 1000

# NUL, and half a character: JSON can carry both, a page neither.
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?")
# Without the host, a browser would take `https:sign-out/` for a page of this site.
_ELSEWHERE = re.compile(r"https?://[^/?#\\]|mailto:.", re.IGNORECASE)


def render(text: str) -> str:
    """Return the HTML of a whole document. Its links open beside the page, which an answer must not replace."""
    return _html(_presentable(text), _Definitions())


@dataclass(frozen=True, slots=True)
class Patch:
    """What changed in the HTML of a growing answer."""

    frozen: str
    """To be put behind what is frozen already. It will not change while the answer grows, unless `afresh` comes."""
    tail: str
    """The block that is still being written, in place of the tail before it."""
    afresh: bool = False
    """A link definition arrived after its use: `frozen` is in place of everything that was frozen before."""


class Growing:
    """The HTML of an answer while it arrives, at the cost of its last block.

    Whatever was added, what is frozen and the tail make together exactly `render()` of the text so far. This rests on
    three facts about markdown:

    - a block is finished once another one has begun below it, in lines that are complete: nothing that comes later
      joins them, splits them or makes a list of them loose. The half line at the end decides nothing, as `--` after a
      paragraph may become a heading's underline or a list;
    - the one exception is a link definition right above a line of text: that may turn out to be the definition's title
      when its closing quotation mark comes, even if a list or a quote seemed to end between the two;
    - only link definitions reach other blocks. Each frozen piece knows the labels that were looked up in it, found or
      not, and is rendered again when one of them gets another meaning.
    """

    def __init__(self) -> None:
        self._frozen: list[_Piece] = []
        self._definitions: dict[str, _Definition] = {}
        self._visible: dict[str, _Definition] = {}
        self._open = ""
        self._examined = 0

    def add(self, text: str) -> Patch:
        """Take the next piece of the answer, cut wherever it may be, and return what to change."""
        self._open += _presentable(text)
        new = self._finished_source()
        visible = _Definitions(self._definitions)
        tail = _html(self._open, visible)
        afresh = self._render_again(visible)
        if new:
            self._frozen.append(_Piece.of(new, visible))
        if afresh:
            return Patch("".join(piece.html for piece in self._frozen), tail, afresh=True)
        return Patch(self._frozen[-1].html if new else "", tail)

    def end(self) -> str:
        """Return the HTML of the whole answer, rendered as one document: what is kept."""
        return render("".join(piece.source for piece in self._frozen) + self._open)

    def _finished_source(self) -> str:
        end = self._open.rfind("\n") + 1
        if end == self._examined:
            return ""
        complete = _LINE_END.sub("\n", self._open[:end])
        env: dict[str, Any] = {"references": {}}
        tokens: list[Token] = []
        _parser.block.parse(complete, _parser, env, tokens)
        definitions = [*env["references"].items(), *((each["label"], each) for each in env.get("duplicate_refs", ()))]
        first_open = _first_open_line(tokens, {each["map"][1] for _, each in definitions})
        for label, each in definitions:
            if each["map"][1] <= first_open:
                self._definitions.setdefault(label, _Definition(each["href"], each["title"]))
        finished, unfinished = _split(complete, first_open)
        self._open = unfinished + self._open[end:]
        self._examined = len(unfinished)
        return finished

    def _render_again(self, visible: "_Definitions") -> bool:
        if visible.known == self._visible:
            return False
        changed = {label for label, _ in visible.known.items() ^ self._visible.items()}
        self._visible = visible.known
        concerned = [index for index, piece in enumerate(self._frozen) if not changed.isdisjoint(piece.asked)]
        for index in concerned:
            self._frozen[index] = _Piece.of(self._frozen[index].source, visible)
        return bool(concerned)


@dataclass(frozen=True, slots=True)
class _Definition:
    href: str
    title: str


class _Definitions(dict[str, Any]):
    """The link definitions of a document in the shape that the parser expects, and which of them it asked for."""

    def __init__(self, known: Mapping[str, _Definition] | None = None) -> None:
        super().__init__()
        self.known = dict(known or {})
        self.asked: set[str] = set()

    def __contains__(self, label: object) -> bool:
        return label in self.known

    def __setitem__(self, label: str, definition: dict[str, Any]) -> None:
        self.known[label] = _Definition(definition["href"], definition["title"])

    def get(self, label: str, default: Any = None) -> Any:
        if len(label) > _LONGEST_LABEL:
            return default
        self.asked.add(label)
        found = self.known.get(label)
        if found is None or len(found.href) + len(found.title) > _LONGEST_DEFINITION:
            return default
        return {"href": found.href, "title": found.title}


@dataclass(frozen=True, slots=True)
class _Piece:
    source: str
    html: str
    asked: frozenset[str]

    @classmethod
    def of(cls, source: str, visible: _Definitions) -> "_Piece":
        definitions = _Definitions(visible.known)
        html = _html(source, definitions)
        return cls(source, html, frozenset(definitions.asked))


def _presentable(text: str) -> str:
    return _NO_CHARACTER.sub("\ufffd", text)


def _html(source: str, definitions: _Definitions) -> str:
    made: str = _parser.render(source, {"references": definitions})
    return _cleaner.clean(made)


def _first_open_line(tokens: list[Token], after_definitions: set[int]) -> int:
    starts = [token.map[0] for token in tokens if token.level == 0 and token.map is not None]
    return next((line for line in reversed(starts) if line not in after_definitions), 0)


def _split(text: str, line: int) -> tuple[str, str]:
    at = 0
    for _ in range(line):
        at = text.index("\n", at) + 1
    return text[:at], text[at:]


def _leads_elsewhere(url: str) -> bool:
    # A link without a scheme would be one to a page of this site, which a model has no reason to make.
    return _ELSEWHERE.match(url) is not None


def _highlighted(code: str, language: str, attributes: str) -> str:
    return highlighting.highlight(code, language)


def _bounded_blockquote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < _DEEPEST_BLOCK and blockquote(state, start, end, silent)


def _bounded_list(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < _DEEPEST_BLOCK and list_block(state, start, end, silent)


def _bounded_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not table(state, start, end, True):
        return False
    return silent or table(state, start, _last_fair_row(state, start, end), False)


def _last_fair_row(state: StateBlock, start: int, end: int) -> int:
    fewest = _separators(state, start + 1) - 2
    missing = 0
    for row in range(start + 2, end):
        if state.isEmpty(row) or state.sCount[row] < state.blkIndent:
            break
        missing += max(0, fewest - _separators(state, row))
        if missing > _MOST_MISSING_CELLS:
            return row
    return end


def _separators(state: StateBlock, line: int) -> int:
    return state.src.count("|", state.bMarks[line], state.eMarks[line])


def _format_text(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = []
        state.md.inline.parse(token.content, state.md, state.env, token.children)
        if _depth(token.children) > _DEEPEST_INLINE:
            token.children = [Token("text", "", 0, content=token.content)]
        for child in token.children:
            # `[x]()` would lead to the page itself, and the parser does not ask about it.
            if child.type == "link_open" and not child.attrs["href"]:
                child.attrs = {}


def _depth(tokens: Iterable[Token]) -> int:
    return max(accumulate(token.nesting for token in tokens), default=0)


def _adapt_to_page(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _LEVELS_ABOVE)}"
        elif token.type in ("th_open", "td_open") and token.attrs:
            # The page's policy forbids the style that the parser writes.
            token.attrs = {"align": str(token.attrs["style"]).removeprefix("text-align:")}


# Made once: its lists cost more than most texts do.
_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    allowed_classes=_CLASSES,
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes=_SCHEMES,
    link_rel="noopener noreferrer nofollow",
)
_parser = MarkdownIt("js-default", {"maxNesting": _DEEPEST, "highlight": _highlighted}).disable("image")
_parser.validateLink = _leads_elsewhere  # type: ignore[method-assign]
# Replacing a rule forgets which blocks it may interrupt: these are the parser's own lists.
_parser.block.ruler.at("table", _bounded_table, {"alt": ["paragraph", "reference"]})
_parser.block.ruler.at("blockquote", _bounded_blockquote, {"alt": ["paragraph", "reference", "blockquote", "list"]})
_parser.block.ruler.at("list", _bounded_list, {"alt": ["paragraph", "reference", "blockquote"]})
_parser.core.ruler.at("inline", _format_text)
_parser.core.ruler.push("adapt_to_page", _adapt_to_page)
