"""What axe finds in a page, by the rules of WCAG 2.2, levels A and AA."""

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
