"""The about page's owner, greeting and suggested questions, as staff set them."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import Client

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
    assert "or begin with one of these" not in Client().get("/about/").content.decode()


def test_too_much_is_refused_in_words(admin_client: Client) -> None:
    for suggestions, sentence in (
        ("Why?\n" * (MAX_SUGGESTIONS + 1), "at most 5 questions; there are 6"),
        ("y" * (MAX_SUGGESTION + 1), "to 100 characters"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            check_suggestions(suggestions)
        fields = {"owner": "Ada", "greeting": "Hello", "suggestions": suggestions}
        assert sentence in admin_client.post(f"{FORM}add/", fields).content.decode()
    assert not Profile.objects.exists()


def test_there_is_one() -> None:
    with pytest.raises(IntegrityError):
        Profile.objects.create(id=2)
