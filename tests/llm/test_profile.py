"""The about page's owner, greeting, suggested questions and system prompt, as staff set them."""

from collections.abc import Iterator, Sequence

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import Client
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from llm import persona, profile
from llm.conversations import Conversation
from llm.memory import Turn
from llm.models import MAX_SUGGESTION, MAX_SUGGESTIONS, Profile, check_suggestions

pytestmark = pytest.mark.django_db

FORM = "/admin/llm/profile/"


def test_nothing_need_be_set(client: Client) -> None:
    html = client.get("/about/").content.decode()
    assert "<title>About · Triptych</title>" in html
    for question in Profile().suggested:
        assert html.count(f">{question}</button>") == 2


def test_staff_set_it_and_the_next_page_shows_it(admin_client: Client) -> None:
    fields = {
        "owner": "Ada <Lovelace>",
        "greeting": "Ask Ada",
        "introduction": "She answers.",
        "suggestions": "\r\n Who? \r\n\r\nWhy?\r\n",
        "system_prompt": "You are Ada.",
    }
    assert admin_client.get(FORM).headers["Location"] == f"{FORM}add/"
    assert admin_client.post(f"{FORM}add/", fields).status_code == 302
    assert admin_client.get(FORM).headers["Location"] == f"{FORM}1/change/"
    html = Client().get("/about/").content.decode()
    assert "<title>About · Ada &lt;Lovelace&gt;</title>" in html
    assert "<h1>Ask Ada</h1>" in html
    assert html.count(">Who?</button>") == html.count(">Why?</button>") == 2
    assert admin_client.get(f"{FORM}add/").status_code == 403
    admin_client.post(f"{FORM}1/change/", fields | {"suggestions": ""})
    assert "Or begin with one of these" not in Client().get("/about/").content.decode()


def test_too_much_is_refused_in_words(admin_client: Client) -> None:
    for suggestions, sentence in (
        ("Why?\n" * (MAX_SUGGESTIONS + 1), "at most 5 questions; there are 6"),
        ("y" * (MAX_SUGGESTION + 1), "to 100 characters"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            check_suggestions(suggestions)
        fields = {"owner": "Ada", "greeting": "Hello", "suggestions": suggestions, "system_prompt": "You are Ada."}
        assert sentence in admin_client.post(f"{FORM}add/", fields).content.decode()
    assert not Profile.objects.exists()


def test_there_is_one() -> None:
    with pytest.raises(IntegrityError):
        Profile.objects.create(id=2)


@pytest.fixture
def _same_persona_afterwards() -> Iterator[None]:
    yield
    persona.take(persona.DEFAULT)


async def _nothing() -> Sequence[Turn]:
    return ()


def _told() -> str:
    return Conversation("about", _nothing).prompt("Why?")[0].content


@pytest.mark.usefixtures("_same_persona_afterwards")
def test_what_models_are_told_is_set_there_too_and_no_question_reads_it(
    admin_client: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    fields = {"owner": "Ada", "greeting": "Hello", "system_prompt": "You are Ada."}
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(f"{FORM}add/", fields)
    with django_assert_num_queries(0):
        assert _told() == "You are Ada."
    # Another process learns of it with one read.
    Profile.objects.update(system_prompt="You are Grace.")
    with django_assert_num_queries(1):
        profile.read()
    assert _told() == "You are Grace."
    for text, sentence in ((" ", "required"), ("x" * (persona.LONGEST + 1), "at most 2000 characters")):
        refused = admin_client.post(f"{FORM}1/change/", fields | {"system_prompt": text})
        assert sentence in refused.content.decode()
    Profile.objects.all().delete()
    profile.read()
    assert _told() == persona.DEFAULT
