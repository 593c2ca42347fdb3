import csv
import html
import io
import json
import re
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.test import Client

from data_agent import audit, audit_search, outcomes, proposals
from data_agent.audit import Person
from data_agent.demo_data import DemoData
from data_agent.models import AuditEvent, Session, Share, Step

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
    event = audit.record("proposed", audit.Person(analyst.pk, "ada"), question="How many?", sql="SELECT 1")
    assert "How many?" in admin_client.get("/admin/data_agent/auditevent/").content.decode()
    assert admin_client.get(f"/admin/data_agent/auditevent/{event.pk}/change/").status_code == 200
    assert admin_client.get("/admin/data_agent/auditevent/add/").status_code == 403
    assert admin_client.post(f"/admin/data_agent/auditevent/{event.pk}/delete/").status_code == 403
    assert AuditEvent.objects.filter(pk=event.pk).exists()


def _run(person: Person, question: str) -> Step:
    async def run() -> Step:
        step = await proposals.propose(person, question)
        await proposals.approve(person, step.pk, step.sql_sha256)
        return await outcomes.run(person, step.pk)

    step: Step = async_to_sync(run)()
    assert step.columns, step.error
    return step


@pytest.fixture
def months(analytics: DemoData, person: Person) -> Step:
    return _run(person, "agent:months")


@pytest.fixture
def client_of(client: Client) -> Callable[[User], Client]:
    def of(user: User) -> Client:
        client.force_login(user)
        return client

    return of


FILES = ("", "rows/", "chart.svg", "result.csv", "result.json")


def test_a_result_is_sent_as_csv_json_and_pages_and_the_downloads_are_logged(signed_in: Client, months: Step) -> None:
    base = f"{PAGE}steps/{months.pk}/"
    response = signed_in.get(f"{base}result.csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment; filename=")
    lines = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert lines == [["month", "revenue"], *months.rows]
    document = json.loads(signed_in.get(f"{base}result.json").content)
    assert [row[0] for row in document["rows"]] == [row[0] for row in months.rows]
    assert document["sql"] == months.sql
    logged = AuditEvent.objects.filter(step_id=months.pk, kind="downloaded").order_by("id")
    assert [event.verdict["format"] for event in logged] == ["csv", "json"]

    page = signed_in.get(f"{base}rows/?sort=1&order=desc&size=3").json()
    assert len(page["rows"]) == 3
    assert page["count"] == len(months.rows)
    assert float(page["rows"][0][1]) == max(float(row[1]) for row in months.rows)
    for query in ("sort=9", "sort=x", "page=x"):
        assert signed_in.get(f"{base}rows/?{query}").status_code == 400


def test_a_chart_is_a_picture_that_may_do_nothing(signed_in: Client, months: Step) -> None:
    response = signed_in.get(f"{PAGE}steps/{months.pk}/chart.svg")
    assert response["Content-Type"] == "image/svg+xml"
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'sha256-" in policy
    assert "script-src" not in policy
    assert b"<script" not in response.content


def test_a_step_has_an_address_that_leads_into_its_conversation(signed_in: Client, months: Step) -> None:
    response = signed_in.get(f"{PAGE}steps/{months.pk}/")
    assert (response.status_code, response["Location"]) == (302, f"{PAGE}{months.session_id}/#step-{months.pk}")


def test_somebody_elses_step_and_files_are_not_found_unless_shared(
    months: Step, stranger: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(stranger)
    addresses = [f"{PAGE}steps/{months.pk}/{name}" for name in FILES] + [f"{PAGE}{months.session_id}/"]
    assert {client.get(address).status_code for address in addresses} == {404}
    share = Share.objects.create(session_id=months.session_id, person=stranger)
    assert {client.get(address).status_code for address in addresses} == {200, 302}
    assert months.question in client.get(f"{PAGE}sessions/").content.decode()
    share.delete()
    assert {client.get(address).status_code for address in addresses} == {404}
    assert client.get(f"{PAGE}sessions/").json() == {"sessions": [], "page": 1, "more": False}


def test_files_are_not_there_for_who_may_not_use_the_agent_and_steps_without_result(
    client: Client, signed_in: Client, months: Step, person: Person
) -> None:
    waiting: Step = async_to_sync(proposals.propose)(person, "agent:countries")
    for name in FILES[1:]:
        assert signed_in.get(f"{PAGE}steps/{waiting.pk}/{name}").status_code == 404
    client.logout()
    for name in FILES:
        assert client.get(f"{PAGE}steps/{months.pk}/{name}").status_code == 404
    assert client.get(f"{PAGE}tables/analytics_users/").status_code == 404
    assert client.get(f"{PAGE}sessions/").status_code == 404


def test_results_with_personal_data_are_only_for_who_may_see_them(
    analytics: DemoData, staff: User, analyst: User, client_of: Callable[[User], Client]
) -> None:
    step = _run(Person(staff.pk, "joan", personal=True), "agent:emails")
    Share.objects.create(session_id=step.session_id, person=analyst)
    client = client_of(analyst)
    for name in FILES[1:]:
        assert client.get(f"{PAGE}steps/{step.pk}/{name}").status_code == 404
    assert analytics.users[0].email in client_of(staff).get(f"{PAGE}steps/{step.pk}/result.csv").content.decode()


def test_sample_rows_are_masked_like_results(signed_in: Client, analytics: DemoData) -> None:
    sample = signed_in.get(f"{PAGE}tables/analytics_users/").json()
    assert len(sample["rows"]) == 5
    assert analytics.users[0].email not in json.dumps(sample)
    assert signed_in.get(f"{PAGE}tables/auth_user/").status_code == 404


def test_conversations_are_listed_page_by_page(signed_in: Client, analyst: User) -> None:
    for number in range(15):
        Session.objects.create(owner=analyst, title=f"question {number}")
    first = signed_in.get(f"{PAGE}sessions/").json()
    second = signed_in.get(f"{PAGE}sessions/?page=2").json()
    assert [session["title"] for session in first["sessions"]] == [f"question {n}" for n in range(14, 2, -1)]
    assert [session["title"] for session in second["sessions"]] == ["question 2", "question 1", "question 0"]
    assert (first["more"], second["more"]) == (True, False)
    assert first["sessions"][0]["mine"]


@pytest.fixture
def auditor(transactional_db: None) -> User:
    user = User.objects.create_user("hedy")
    user.user_permissions.add(Permission.objects.get(codename="audit_data_agent"))
    return user


def test_auditors_filter_and_export_the_log(months: Step, auditor: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(auditor)
    page = client.get(f"{PAGE}audit/?step={months.pk}").content.decode()
    assert "agent:months" in page
    assert months.sql_sha256[:12] in page
    for query, found in (
        (f"step={months.pk}&kind=approved", ["approved"]),
        (f"session={months.session_id}&person=ada", ["proposed", "approved", "executed"]),
        (f"session={months.session_id}&person=hedy", []),
        (f"step={months.pk}&text=DATE_TRUNC&fingerprint={months.sql_sha256[:9]}", ["proposed", "approved", "executed"]),
        (f"step={months.pk}&since=2020-01-01&until=2020-12-31", []),
    ):
        lines = client.get(f"{PAGE}audit/export/jsonl/?{query}").content.decode().splitlines()
        assert [json.loads(line)["kind"] for line in lines] == found, query
    rows = list(csv.DictReader(io.StringIO(client.get(f"{PAGE}audit/export/csv/?step={months.pk}").content.decode())))
    assert [row["kind"] for row in rows] == ["proposed", "approved", "executed"]
    assert rows[2]["rows"] == str(len(months.rows))
    assert rows[0]["hash"] == rows[1]["previous_hash"]
    last = AuditEvent.objects.first()
    assert last is not None
    assert (last.kind, last.person, last.verdict["audit_log"]) == ("downloaded", f"{auditor.pk} hedy", "csv")


def test_the_log_is_turned_over_page_by_page(auditor: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(auditor)
    for number in range(audit_search.PAGE + 1):
        audit.record("proposed", audit.Person(auditor.pk, "turner"), question=f"Question {number}.")
    newest = client.get(f"{PAGE}audit/?person=turner").content.decode()
    assert f"Question {audit_search.PAGE}." in newest
    assert "Question 0." not in newest
    assert "Newest events" not in newest
    (older,) = re.findall(r'href="(\?[^"]+)">Older events', newest)
    oldest = client.get(f"{PAGE}audit/{html.unescape(older)}").content.decode()
    assert oldest.count('class="audit-number"') == 1
    assert "Question 0." in oldest
    assert "Older events" not in oldest
    assert 'href="?person=turner">Newest events' in oldest


def test_who_may_only_audit_is_led_to_the_log(auditor: User, client_of: Callable[[User], Client]) -> None:
    assert client_of(auditor).get(PAGE)["Location"] == f"{PAGE}audit/"


def test_filters_that_mean_nothing_are_said(auditor: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(auditor)
    for query in ("step=x", "since=yesterday", "kind=drop"):
        response = client.get(f"{PAGE}audit/?{query}")
        assert response.status_code == 400
        assert 'role="alert"' in response.content.decode()
        assert client.get(f"{PAGE}audit/export/csv/?{query}").status_code == 400
    assert client.get(f"{PAGE}audit/export/exe/").status_code == 404


def test_the_log_is_not_there_for_others(signed_in: Client, client: Client, admin_client: Client) -> None:
    for address in ("audit/", "audit/export/csv/"):
        assert signed_in.get(f"{PAGE}{address}").status_code == 404
        assert Client().get(f"{PAGE}{address}").status_code == 404
