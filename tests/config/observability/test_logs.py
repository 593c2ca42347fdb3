"""What a line of the log says, and what it leaves out."""

import logging

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from config import urls
from tests.operators import operator_of


def _broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("a fault of ours")


urlpatterns = [path("broken/", _broken), *urls.urlpatterns]


@pytest.mark.django_db
def test_what_a_visitor_may_not_do_is_a_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert operator_of("llm", "view_call").get("/admin/operations/dead-letters/").status_code == 403
    (line,) = (record for record in caplog.records if record.name == "django.request")
    assert "Forbidden" in line.getMessage()
    assert line.exc_info is None


@pytest.mark.urls(__name__)
def test_a_fault_of_ours_says_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert Client(raise_request_exception=False).get("/broken/").status_code == 500
    (line,) = (record for record in caplog.records if record.name == "django.request")
    assert line.levelno == logging.ERROR
    assert line.exc_info is not None
