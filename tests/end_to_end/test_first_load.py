"""The first visit over a slow connection: what it takes is printed, for a busy machine proves nothing about time."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.end_to_end.chats import CONNECTION

pytestmark = pytest.mark.browser

# What Lighthouse calls slow 4G: bytes per second, and milliseconds there and back.
SLOW = {"offline": False, "downloadThroughput": 1_638_400 / 8, "uploadThroughput": 750_000 / 8, "latency": 150}
MOST = 150_000
_SHIFTS = """() => new Promise(resolve => new PerformanceObserver(list => resolve(list.getEntries()
  .filter(each => !each.hadRecentInput).reduce((sum, each) => sum + each.value, 0)))
  .observe({ type: 'layout-shift', buffered: true }) ?? setTimeout(() => resolve(0), 500))"""


def test_the_first_visit_is_small_and_what_it_fetches_is_kept(
    visit: BrowserContext, capsys: pytest.CaptureFixture[str]
) -> None:
    page = visit.new_page()
    devtools = visit.new_cdp_session(page)
    sizes: list[float] = []
    kept: dict[str, str] = {}

    def note(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    devtools.on("Network.loadingFinished", note)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", SLOW)
    page.on("response", lambda response: kept.update({response.url: response.headers.get("cache-control", "")}))
    page.goto("/about/")
    expect(page.locator(CONNECTION)).to_have_text("Connected")
    page.wait_for_load_state("networkidle")
    interactive, connected = page.evaluate(
        "[performance.getEntriesByType('navigation')[0].domInteractive, performance.now()]"
    )
    shift = page.evaluate(_SHIFTS)
    with capsys.disabled():
        print(
            f"\nfirst visit at 1.6 Mbit/s and 150 ms: {sum(sizes) / 1000:.0f} kB in {len(sizes)} requests, "
            f"interactive after {interactive:.0f} ms, at rest after {connected:.0f} ms, layout shift {shift:.3f}"
        )
    assert sum(sizes) < MOST
    files = {url: how for url, how in kept.items() if "/static/" in url}
    assert files
    assert [url for url, how in files.items() if "immutable" not in how] == []
