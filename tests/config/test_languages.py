"""Pages, scripts and sockets speak the language that somebody chose, or else the one that their browser wishes."""

import asyncio
import uuid
from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient, Client
from django.utils import timezone, translation
from django.utils.translation import get_language, gettext

from config import languages, script_words
from config.visitors import COOKIE, make_cookie
from kafka_chat.failures import UNREADABLE
from kafka_chat.models import ChatMessage as Question
from ws_chat.answers import UNEXPECTED
from ws_chat.models import ChatMessage as Run
from ws_chat.retrieval import end_of

WISHES = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.mark.django_db
class TestPages:
    def test_the_browser_decides_first(self, client: Client) -> None:
        page = client.get("/about/", headers=WISHES)

        assert '<html lang="de">' in page.text
        assert page.headers["Content-Language"] == "de"

    @pytest.mark.parametrize("wishes", ["", "fr", "en-GB, de;q=0.3", "*", ";;q=,", "x" * 5000])
    def test_english_is_spoken_where_nothing_else_is_wished_for(self, client: Client, wishes: str) -> None:
        assert '<html lang="en">' in client.get("/about/", headers={"Accept-Language": wishes}).text

    def test_a_choice_in_the_footer_counts_more_and_leads_back_to_its_page(self, client: Client) -> None:
        client.get("/about/", headers=WISHES)

        answer = client.post("/language/", {"language": "en", "next": "/compare/?days=1"}, headers=WISHES)

        assert answer.headers["Location"] == "/compare/?days=1"
        assert '<html lang="en">' in client.get("/about/", headers=WISHES).text

    def test_the_choice_is_kept_as_carefully_as_other_cookies(self, client: Client, settings: Any) -> None:
        settings.LANGUAGE_COOKIE_SECURE = True

        cookie = client.post("/language/", {"language": "de"}).cookies[settings.LANGUAGE_COOKIE_NAME]

        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")

    def test_the_choice_leads_to_no_other_site(self, client: Client) -> None:
        answer = client.post("/language/", {"language": "de", "next": "https://elsewhere.example/"})

        assert answer.headers["Location"] == "/"

    def test_the_choice_is_a_form_with_a_token(self) -> None:
        assert Client(enforce_csrf_checks=True).post("/language/", {"language": "de"}).status_code == 403

    def test_a_page_that_may_be_kept_says_what_its_language_depends_on(self, client: Client) -> None:
        assert {"Accept-Language", "Cookie"} <= set(client.get("/about/").headers["Vary"].split(", "))

    def test_a_poll_that_nobody_may_keep_is_spared_that(self, client: Client) -> None:
        answer = client.get("/api/budget/", headers=WISHES)

        assert "Content-Language" not in answer.headers
        assert "Accept-Language" not in answer.headers.get("Vary", "")

    async def test_requests_at_once_each_have_their_own(self, async_client: AsyncClient) -> None:
        pages = await asyncio.gather(
            *(async_client.get("/nowhere/", headers={"Accept-Language": each}) for each in ("de", "en", "de", "en"))
        )

        assert [page.headers["Content-Language"] for page in pages] == ["de", "en", "de", "en"]


class TestScripts:
    def test_the_catalogue_of_a_language_may_be_kept_for_ever(self, client: Client) -> None:
        answer = client.get(script_words.address("de"))

        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/javascript")
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Vary" not in answer.headers

    @pytest.mark.parametrize("name", ["de.000000000000", "fr.000000000000", "en.x"])
    def test_another_version_or_language_is_not_there(self, client: Client, name: str) -> None:
        assert client.get(f"/script-words/{name}.js").status_code == 404

    def test_english_needs_none(self) -> None:
        assert script_words.address(settings.LANGUAGE_CODE) == ""


class TestSockets:
    @pytest.mark.parametrize(
        ("headers", "language"),
        [
            ([], "en"),
            ([(b"accept-language", b"de-CH")], "de"),
            ([(b"accept-language", b"de"), (b"cookie", b"a=b; language=en")], "en"),
            ([(b"cookie", b"visitor=x"), (b"cookie", b"language=de")], "de"),
            ([(b"cookie", b"language=xx"), (b"accept-language", b"de")], "de"),
        ],
    )
    def test_a_socket_speaks_the_language_of_its_handshake(self, headers: Any, language: str) -> None:
        assert languages.of_scope({"headers": headers}) == language

    async def test_sockets_at_once_each_have_their_own(self) -> None:
        heard: dict[str, list[str | None]] = {}

        async def application(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(3):
                heard.setdefault(scope["name"], []).append(get_language())
                await asyncio.sleep(0)
            heard[scope["name"]].append(gettext("Language"))

        sockets = [
            {"name": name, "headers": [(b"accept-language", name.encode())]} for name in ("de", "en", "de-AT", "fr")
        ]
        middleware: Any = languages.SocketLanguage(application)
        await asyncio.gather(*(middleware(scope, None, None) for scope in sockets))

        assert heard == {
            "de": ["de", "de", "de", "Sprache"],
            "de-AT": ["de", "de", "de", "Sprache"],
            "en": ["en", "en", "en", "Language"],
            "fr": ["en", "en", "en", "Language"],
        }
        assert get_language() == "en"


@pytest.mark.django_db
class TestStoredSentences:
    """A worker knows nobody's language, so a failure's sentence is stored in English and translated for its reader."""

    @pytest.fixture
    def visitor(self, client: Client) -> uuid.UUID:
        visitor = uuid.uuid4()
        client.cookies[COOKIE] = make_cookie(visitor)
        return visitor

    def _failed(self, visitor: uuid.UUID, error: str) -> None:
        Question.objects.create(session_id=visitor, message="why?", status="failed", error=error)
        Run.objects.create(
            visitor_id=visitor, question="why?", status="error", error=error, total_ms=1, started_at=timezone.now()
        )

    @pytest.mark.parametrize(
        ("stored", "told"),
        [
            (
                UNREADABLE,
                "Ihre Frage konnte auf dem Weg zum Modell nicht gelesen werden. Bitte fragen Sie noch einmal.",
            ),
            (UNEXPECTED, "Bei uns ist etwas schiefgegangen. Bitte fragen Sie noch einmal."),
            ("Of an older version.", "Of an older version."),
        ],
    )
    def test_a_known_one_is_translated_and_another_is_shown_as_it_is(
        self, client: Client, visitor: uuid.UUID, stored: str, told: str
    ) -> None:
        self._failed(visitor, stored)

        page = client.get("/about/", headers=WISHES).text
        (question,) = client.get("/api/chat/history/", headers=WISHES).json()["messages"]
        with translation.override("de"):
            end = end_of(Run.objects.get(visitor_id=visitor))

        assert page.count(f'data-error="{told}"') == 2
        assert (question["error"], end.error) == (told, told)
        assert client.get("/api/chat/history/").json()["messages"][0]["error"] == stored
