import pytest
from django.contrib.auth.models import User
from django.test import Client

from data_agent.models import AuditEvent, Session

PAGE = "/data-agent/"


@pytest.fixture
def signed_in(client: Client, analyst: User) -> Client:
    client.force_login(analyst)
    return client


@pytest.mark.django_db
def test_visitors_are_told_how_to_sign_in(client: Client) -> None:
    response = client.get(PAGE)
    assert response.status_code == 403
    page = response.content.decode()
    assert "make run" in page
    assert "/admin/login/?next=/data-agent/" in page


@pytest.mark.django_db
def test_users_without_the_permission_are_told_what_is_missing(client: Client) -> None:
    client.force_login(User.objects.create_user("eve"))
    response = client.get(PAGE)
    assert response.status_code == 403
    assert "Can ask the data agent and run the queries it proposes" in response.content.decode()


def test_analysts_see_the_workspace_and_the_tables(signed_in: Client) -> None:
    response = signed_in.get(PAGE)
    assert response.status_code == 200
    page = response.content.decode()
    for name in ("analytics_users", "analytics_purchases", "analytics_product_specs", "Subscription: free, pro"):
        assert name in page
    assert "unsafe" not in response.headers["Content-Security-Policy"]


def test_ones_own_session_is_shown_and_anybody_elses_is_not_found(
    signed_in: Client, analyst: User, stranger: User
) -> None:
    own = Session.objects.create(owner=analyst, title="<script>alert(1)</script>")
    theirs = Session.objects.create(owner=stranger, title="secret question")
    page = signed_in.get(f"{PAGE}{own.pk}/").content.decode()
    assert f'data-session="{own.pk}"' in page
    assert "<script>alert" not in page
    assert "secret question" not in page
    assert signed_in.get(f"{PAGE}{theirs.pk}/").status_code == 404
    assert signed_in.get(f"{PAGE}00000000-0000-0000-0000-000000000000/").status_code == 404


def test_the_page_is_only_for_reading(signed_in: Client) -> None:
    assert signed_in.post(PAGE).status_code == 405


def test_the_admin_shows_the_log_and_changes_nothing(admin_client: Client, analyst: User) -> None:
    from data_agent import audit

    event = audit.record("proposed", audit.Person(analyst.pk, "ada"), question="How many?", sql="SELECT 1")
    assert "How many?" in admin_client.get("/admin/data_agent/auditevent/").content.decode()
    assert admin_client.get(f"/admin/data_agent/auditevent/{event.pk}/change/").status_code == 200
    assert admin_client.get("/admin/data_agent/auditevent/add/").status_code == 403
    assert admin_client.post(f"/admin/data_agent/auditevent/{event.pk}/delete/").status_code == 403
    assert AuditEvent.objects.filter(pk=event.pk).exists()
