"""Markdown to HTML that is safe to put into a page.

Models repeat what they are told, so their markdown is somebody else's input: raw HTML stays text, images are off (a
remote image is a way to carry data out), links go to the web or to a mail address only, and what the renderer made is
filtered once more against a list of tags.
"""

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}}
_parser = MarkdownIt("js-default").disable("image")


def render(text: str) -> str:
    """Return the HTML of a whole document."""
    return nh3.clean(
        _parser.render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
