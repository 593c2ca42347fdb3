"""What the tests of markdown share: documents, payloads, the page of a reader, and what may stand in HTML."""

import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from llm.markdown import Growing, Patch

_HERE = Path(__file__).parent

DOCUMENTS: dict[str, str] = tomllib.loads((_HERE / "documents.toml").read_text("utf-8"))
PAYLOADS: dict[str, list[str]] = tomllib.loads((_HERE / "payloads.toml").read_text("utf-8"))

# Written down once more, on purpose: a tag that is added to the renderer's own list must be added here too.
ALLOWED: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "em", "strong", "s"), frozenset[str]()
    ),
    **dict.fromkeys(("ul", "li", "table", "thead", "tbody", "tr"), frozenset[str]()),
    "ol": frozenset({"start"}),
    "code": frozenset({"class"}),
    "span": frozenset({"class"}),
    "th": frozenset({"align"}),
    "td": frozenset({"align"}),
    "a": frozenset({"href", "title", "rel", "target"}),
}


class Reader:
    """A page that follows a growing answer: it does with each patch what `Patch` says."""

    def __init__(self) -> None:
        self.growing = Growing()
        self.frozen = ""
        self.tail = ""

    def read(self, text: str) -> Patch:
        """Add the next piece of the answer to the page."""
        patch = self.growing.add(text)
        self.frozen = patch.frozen if patch.afresh else self.frozen + patch.frozen
        self.tail = patch.tail
        return patch

    @property
    def html(self) -> str:
        """Return what the page shows."""
        return self.frozen + self.tail


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_comment(self, data: str) -> None:
        self.found.append(("!--", {}))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("!", {}))

    def handle_pi(self, data: str) -> None:
        self.found.append(("?", {}))


def elements(html: str) -> list[tuple[str, dict[str, str]]]:
    """Return each start tag with its attributes; comments and declarations count as tags."""
    parser = _Elements()
    parser.feed(html)
    parser.close()
    return parser.found


def faults(html: str) -> list[str]:
    """Return what must not stand in the HTML of an answer."""
    found = []
    for tag, attributes in elements(html):
        found += [f"<{tag}>"] if tag not in ALLOWED else []
        found += [f"<{tag} {name}>" for name in attributes.keys() - ALLOWED.get(tag, set())]
        if "href" in attributes:
            address = urlsplit(attributes["href"])
            if not (address.scheme in {"http", "https"} and address.netloc) and address.scheme != "mailto":
                found.append(attributes["href"])
            if attributes.get("rel") != "noopener noreferrer nofollow" or attributes.get("target") != "_blank":
                found.append(f"{attributes['href']} can reach the page")
    return found
