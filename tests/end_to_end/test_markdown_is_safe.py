"""What hostile markdown becomes, put into a page of a real browser that has no policy to protect it."""

from collections.abc import Iterable, Iterator

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, BrowserContext, Error, Page, Request, Route

from llm.markdown import render
from tests.llm.markdown import ALLOWED, DOCUMENTS, PAYLOADS, Reader

SITE = "https://triptych.example/"

# A click on an address elsewhere is the visitor's own decision; all others do what they do.
PAGE = """<!doctype html><title>Answers</title><main></main><script>
window.fired = [];
window.fire = () => window.fired.push('fire()');
for (const name of ['alert', 'confirm', 'prompt', 'print', 'open']) window[name] = () => window.fired.push(name);
addEventListener('click', event => {
  const link = event.target.closest('a');
  const elsewhere = ['http:', 'https:'].includes(link?.protocol) && link.host !== location.host;
  if (elsewhere || link?.protocol === 'mailto:') event.preventDefault();
});
</script>"""

# Every state stays, as the events of an element that left the page may not come.
PROVOKE = """async ({states, allowed, end}) => {
  const main = document.querySelector('main');
  const found = new Set();
  const states_shown = states.map(html => {
    const state = main.appendChild(document.createElement('div'));
    state.innerHTML = html;
    return state;
  });
  const events = ['mouseover', 'mouseenter', 'pointerdown', 'focus', 'blur', 'load', 'error', 'toggle', 'beforetoggle',
    'animationstart', 'begin', 'start', 'keydown', 'submit', 'copy', 'wheel'];
  for (const element of states_shown.flatMap(state => [...state.querySelectorAll('*')])) {
    const tag = element.localName;
    if (element.namespaceURI !== 'http://www.w3.org/1999/xhtml' || !(tag in allowed)) found.add(`<${tag}>`);
    for (const {name} of element.attributes) if (!allowed[tag]?.includes(name)) found.add(`<${tag} ${name}>`);
    if (element.hasAttribute('href') && !['http:', 'https:', 'mailto:'].includes(element.protocol))
      found.add(`href=${element.href}`);
    if (element.hasAttribute('href') && element.host === location.host) found.add(`href=${element.href}`);
    for (const name of events) element.dispatchEvent(new Event(name, {bubbles: true, cancelable: true}));
    element.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, view: window}));
    element.dispatchEvent(new MouseEvent('auxclick', {bubbles: true, cancelable: true, view: window, button: 1}));
  }
  // What the payload started had its turn once the answer to a request that was made after it is here.
  await fetch(end);
  await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
  main.replaceChildren();
  return [...found, ...window.fired.splice(0)];
}"""


class Witness:
    """A page that is shown answers, and everything that they made it do."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self._seen: list[str] = []
        context.route("**/*", self._answer)
        context.on("request", self._note_request)
        context.on("page", self._watch)
        self._page = context.new_page()
        self._page.goto(SITE)
        self._seen.clear()

    def complaints(self, states: Iterable[str]) -> list[str]:
        """Show the states, touch everything in them, and return what happened that must not happen."""
        allowed = {tag: sorted(names) for tag, names in ALLOWED.items()}
        try:
            done = self._page.evaluate(
                PROVOKE, {"states": list(dict.fromkeys(states)), "allowed": allowed, "end": f"{SITE}end"}
            )
        except Error as error:
            done = [f"left the page: {error.message.splitlines()[0]}"]
        seen, self._seen = self._seen, []
        return [*done, *seen]

    def afterthoughts(self, awaited: str = "", patience: int = 1) -> list[str]:
        """Return what else the browser says within 0.2 s, or until it says what is awaited, at most so many times."""
        for _ in range(patience):
            self._page.wait_for_timeout(200)
            if awaited in self._seen:
                break
        return self._seen

    def _watch(self, page: Page) -> None:
        self._seen.append("opened a page")
        page.on("framenavigated", lambda frame: self._seen.append(f"navigated to {frame.url}"))
        page.on("dialog", lambda dialog: (self._seen.append(f"dialog {dialog.type}"), dialog.dismiss()))

    def _note_request(self, request: Request) -> None:
        if request.url != f"{SITE}end":
            self._seen.append(f"requested {request.url}")

    @staticmethod
    def _answer(route: Route) -> None:
        if route.request.url == SITE:
            route.fulfill(body=PAGE, content_type="text/html; charset=utf-8")
        elif route.request.url == f"{SITE}end":
            route.fulfill(body="")
        else:
            route.abort()


@pytest.fixture
def witness(browser: Browser) -> Iterator[Witness]:
    """A page of its own for each test: some controls leave theirs."""
    context = browser.new_context()
    yield Witness(context)
    context.close()


def _states(text: str) -> list[str]:
    reader = Reader()
    seen = []
    for character in text:
        reader.read(character)
        seen.append(reader.html)
    return [*seen, reader.growing.end(), render(text)]


@pytest.mark.browser
@pytest.mark.parametrize("kind", PAYLOADS)
def test_nothing_happens_at_any_moment_of_a_hostile_answer(witness: Witness, kind: str) -> None:
    happened = {payload: witness.complaints(_states(payload)) for payload in PAYLOADS[kind]}
    happened["the last of them, later"] = witness.afterthoughts()
    assert {payload: complaints for payload, complaints in happened.items() if complaints} == {}


@pytest.mark.browser
def test_nothing_happens_when_hostile_answers_stand_behind_each_other(witness: Witness) -> None:
    everything = "\n\n".join(payload for payloads in PAYLOADS.values() for payload in payloads)
    reader = Reader()
    states = []
    for start in range(0, len(everything), 1000):
        reader.read(everything[start : start + 1000])
        states.append(reader.html)
    assert witness.complaints([*states, render(everything)]) == []


@pytest.mark.browser
def test_nothing_happens_with_ordinary_documents(witness: Witness) -> None:
    assert witness.complaints(render(text) for text in DOCUMENTS.values()) == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ("<img src=x onerror=fire()>", "fire()"),
        ("<svg onload=fire()>", "fire()"),
        ("<p onmouseover=fire()>x</p>", "fire()"),
        ("<a href=javascript:fire()>x</a>", "fire()"),
        ("<iframe srcdoc='<script>parent.fire()</script>'></iframe>", "fire()"),
        ("<p onclick=alert()>x</p>", "alert"),
        ("<img src=https://evil.example/a.png>", "requested https://evil.example/a.png"),
        ("<style>@import 'https://evil.example/x.css'</style>", "requested https://evil.example/x.css"),
        ("<a href=/sign-out/>x</a>", f"requested {SITE}sign-out/"),
        ("<form action=https://evil.example/><button>x</button></form>", "requested https://evil.example/?"),
        ("<a target=_blank href=https:elsewhere/>x</a>", "opened a page"),
        ("<a href=tel:1>x</a>", "href=tel:1"),
        ("<template>x</template>", "<template>"),
        ("<svg><p>x</svg>", "<svg>"),
        ("<p id=x>x</p>", "<p id>"),
    ],
)
def test_the_page_would_have_noticed(witness: Witness, html: str, complaint: str) -> None:
    complaints = witness.complaints([html])
    assert complaint in complaints or complaint in witness.afterthoughts(complaint, patience=25)


def _render_carelessly(payload: str) -> str:
    careless = MarkdownIt("commonmark", {"html": True})
    careless.validateLink = lambda url: True  # type: ignore[method-assign]
    return careless.render(payload)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("kind", "few"),
    [
        ("schemes", slice(0, 4)),
        ("entities_in_addresses", slice(0, 4)),
        ("script_and_event_tags", slice(8, 12)),
        ("svg_and_math", slice(3, 5)),
        ("images", slice(0, 3)),
    ],
)
def test_payloads_do_harm_where_markdown_is_rendered_carelessly(browser: Browser, kind: str, few: slice) -> None:
    for payload in PAYLOADS[kind][few]:
        # Some leave the page, or change it for good.
        context = browser.new_context()
        witness = Witness(context)
        complaints = witness.complaints([_render_carelessly(payload)]) + witness.afterthoughts()
        context.close()
        assert [each for each in complaints if not each.startswith(("<", "href="))], payload
