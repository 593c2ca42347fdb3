"""Markdown to HTML that is safe to put into a page.

Models repeat what they are told, so their markdown is somebody else's input: raw HTML stays text, images are off (a
remote image is a way to carry data out), links go to the web or to a mail address only, and what the renderer made is
filtered once more against a list of tags.
"""

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

_TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}}
_SCHEMES = {"http", "https", "mailto"}
# An answer stands below the page's own headings, of which the lowest is an h2.
_LEVELS_ABOVE = 2


def render(text: str) -> str:
    """Return the HTML of a whole document. Its links open beside the page, which an answer must not replace."""
    return nh3.clean(
        _parser.render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _LEVELS_ABOVE)}"


def _leads_elsewhere(url: str) -> bool:
    # A link without a scheme would be one to a page of this site, which a model has no reason to make.
    return url.partition(":")[0].lower() in _SCHEMES and ":" in url


_parser = MarkdownIt("js-default").disable("image")
_parser.validateLink = _leads_elsewhere  # type: ignore[method-assign]
_parser.core.ruler.push("lower_headings", _lower_headings)
