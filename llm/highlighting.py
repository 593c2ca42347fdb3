"""Code of an answer in colours: HTML with a class for each kind of word, and nothing else in it.

Pygments knows the languages. Its lexers are regular expressions, of which some take far longer than a text is long, so
only languages that do not are coloured, and only up to a length: everything else is shown as it is.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from html import escape
from itertools import groupby
from typing import TypeAlias

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String, _TokenType

# Characters of a block that is coloured.
LONGEST = 2000
# White space in a row, which some lexers try again from each of its characters.
_LONG_SPACE = re.compile(r"\s{100}")

# The names after a fence, and what Pygments calls the language.
_LANGUAGES = {
    **{name: name for name in ("bash", "c", "cpp", "css", "docker", "go", "html", "ini", "javascript", "json")},
    **{name: name for name in ("kotlin", "php", "python", "ruby", "rust", "sql", "swift", "toml", "typescript")},
    **{name: name for name in ("xml", "yaml")},
    **{"c++": "cpp", "dockerfile": "docker", "golang": "go", "js": "javascript", "py": "python", "python3": "python"},
    **{"rb": "ruby", "rs": "rust", "sh": "bash", "shell": "bash", "ts": "typescript", "yml": "yaml", "zsh": "bash"},
    **{"postgres": "sql", "postgresql": "sql"},
}

# The first that fits counts.
_KINDS: tuple[tuple[_TokenType, str], ...] = (
    (Comment.Preproc, "hl-keyword"),
    (Comment, "hl-comment"),
    (Keyword, "hl-keyword"),
    (Operator.Word, "hl-keyword"),
    (Name.Tag, "hl-keyword"),
    (String, "hl-string"),
    (Number, "hl-number"),
    (Name.Function, "hl-name"),
    (Name.Class, "hl-name"),
    (Name.Decorator, "hl-name"),
    (Name.Attribute, "hl-name"),
    (Name.Builtin, "hl-name"),
    (Generic.Heading, "hl-name"),
)

CLASSES = frozenset(kind for _, kind in _KINDS)

_Piece: TypeAlias = tuple[str, str]


@lru_cache(maxsize=256)
def highlight(code: str, language: str) -> str:
    """Return the HTML of a block of code; an empty text where it is to be shown as it is.

    The first block of a language costs 10 to 40 ms more, once in a process. A page of earlier answers has the same
    blocks each time it is shown, so the latest are kept: at most 256, of 2,000 characters each.
    """
    name = _LANGUAGES.get(language.lower())
    if name is None or len(code) > LONGEST or _LONG_SPACE.search(code):
        return ""
    pieces = list(_pieces(code, _lexer(name)))
    # A lexer may tidy a text up. What is copied must be what the model wrote.
    if "".join(text for _, text in pieces) != code:
        return ""
    return "".join(map(_html, pieces))


@lru_cache
def _lexer(name: str) -> Lexer:
    found: Callable[..., Lexer] = get_lexer_by_name
    return found(name, stripnl=False, ensurenl=False)


def _pieces(code: str, lexer: Lexer) -> Iterator[_Piece]:
    """Return the text piece by piece, each with its class; none where it has no colour of its own."""
    for kind, tokens in groupby(lexer.get_tokens(code), key=lambda token: _kind_of(token[0])):
        yield kind, "".join(text for _, text in tokens)


def _kind_of(token: _TokenType) -> str:
    return next((kind for group, kind in _KINDS if token in group), "")


def _html(piece: _Piece) -> str:
    kind, text = piece
    return f'<span class="{kind}">{escape(text)}</span>' if kind else escape(text)
