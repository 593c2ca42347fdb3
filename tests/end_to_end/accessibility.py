"""What is wrong with a page by WCAG 2.2, levels A and AA: what axe finds, what moves, and what large text loses."""

import json
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
}
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def violations(page: Page) -> list[str]:
    """Return what is wrong with the page as it is now, in both colour schemes: rule, element, and why."""
    found = []
    for scheme in _SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for violation in Axe().run(page, options=_OPTIONS).response["violations"]:
            for node in violation["nodes"]:
                why = "; ".join(check["message"] for kind in ("any", "all", "none") for check in node[kind])
                found.append(f"{scheme}: {violation['id']} at {json.dumps(node['target'])}: {why}")
    return found


# What the browser's own setting does: every length here is in rem or em. Then: what makes the page scroll sideways, and
# what is cut off by something that cannot be scrolled.
_TWICE_AS_LARGE = """() => {
  const root = document.documentElement;
  root.style.setProperty('font-size', '200%');
  const shown = [...document.body.querySelectorAll('*')]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }))
    .filter((each) => !each.closest('.visually-hidden, .skip, svg') && getComputedStyle(each).clipPath === 'none');
  const scrolls = (each) => each !== null
    && (['auto', 'scroll'].includes(getComputedStyle(each).overflowX) || scrolls(each.parentElement));
  const wide = root.scrollWidth <= innerWidth ? []
    : ['the page', ...shown.filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each))];
  const cut = shown.filter((each) => getComputedStyle(each).overflow === 'hidden'
    && (each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 2));
  root.style.removeProperty('font-size');
  const named = (kind, found) => found.slice(0, 8).map((each) => `${kind}: ${each.outerHTML?.slice(0, 120) ?? each}`);
  return [...named('wide', wide), ...named('cut', cut)];
}"""


# What moves by itself, or would: by its style, whether or not it happens to run now.
_MOTION = """() => [...document.querySelectorAll('*')].filter((each) => [null, '::before', '::after'].some((pseudo) => {
  const style = getComputedStyle(each, pseudo);
  // Of what is drawn nowhere there is no style.
  return !['none', ''].includes(style.animationName) || style.scrollBehavior === 'smooth'
    || style.transitionDuration.split(', ').some((duration) => parseFloat(duration) > 0);
})).slice(0, 8).map((each) => `moves: ${each.outerHTML.slice(0, 120)}`)"""


def motion(page: Page) -> list[str]:
    """Return what moves, or would, although the visitor wants less motion; WCAG 2.2, 2.2.2 and 2.3.3."""
    page.emulate_media(reduced_motion="reduce")
    return page.evaluate(_MOTION)


def lost_in_large_text(page: Page) -> list[str]:
    """Return what is lost where text is twice as large, on a desktop and on a phone; WCAG 2.2, 1.4.4 and 1.4.10."""
    found = []
    for width, height in ((390, 844), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        found += [f"{width} px: {each}" for each in page.evaluate(_TWICE_AS_LARGE)]
    return found


def everything_wrong(page: Page) -> list[str]:
    """Return what axe finds, what would move, and what large text loses."""
    return violations(page) + motion(page) + lost_in_large_text(page)
