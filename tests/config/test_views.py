import re

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory

from config import views

pytestmark = pytest.mark.django_db


def test_the_first_page_is_the_about_page(client: Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["Location"]) == (302, "/about/")


def test_the_about_page_is_private_and_allows_no_foreign_and_no_inline_code(client: Client) -> None:
    response = client.get("/about/")
    assert response.status_code == 200
    assert "private" in response.headers["Cache-Control"]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    html = response.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    assert not re.search(r'(src|href)="(https?:)?//', html)


def test_static_files_have_hashed_names(client: Client) -> None:
    html = client.get("/about/").content.decode()
    names = re.findall(r'"(/static/[^"]+)"', html)
    assert names
    assert [name for name in names if not re.search(r"\.[0-9a-f]{12}\.\w+$", name)] == []


@pytest.mark.parametrize(("path", "is_json"), [("/nothing/", False), ("/api/nothing/", True)])
def test_an_unknown_address_is_said_in_the_form_that_was_asked_for(client: Client, path: str, is_json: bool) -> None:
    response = client.get(path)
    assert response.status_code == 404
    if is_json:
        assert response.json()["error"]["code"] == "not_found"
    else:
        assert "nothing at this address" in response.content.decode()


@pytest.mark.parametrize("path", ["/api/chat/", "/sign-out/"])
def test_a_missing_csrf_token_is_said_with_what_to_do(path: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path)
    assert response.status_code == 403
    assert "Reload the page" in response.content.decode()
    assert ("application/json" in response.headers["Content-Type"]) == path.startswith("/api/")


def test_a_refusal_says_why(rf: RequestFactory) -> None:
    response = views.forbidden(rf.get("/admin/x/"), PermissionDenied("This link is too old."))
    assert response.status_code == 403
    assert "This link is too old." in response.content.decode()


@pytest.mark.parametrize("path", ["/about/", "/api/chat/"])
def test_a_fault_is_said_without_its_details_and_without_the_database(rf: RequestFactory, path: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.backends.utils.CursorWrapper.execute", pytest.fail)
        response = views.server_error(rf.get(path))
    assert response.status_code == 500
    assert "try again" in response.content.decode()


def test_staff_see_the_way_to_the_admin_and_all_who_are_signed_in_the_way_out(admin_client: Client) -> None:
    html = admin_client.get("/about/").content.decode()
    assert "/admin/" in html
    assert "Sign out" in html
    response = admin_client.post("/sign-out/")
    assert response.headers["Location"] == "/about/"
    html = admin_client.get("/about/").content.decode()
    assert "/admin/" not in html
    assert "Sign out" not in html
