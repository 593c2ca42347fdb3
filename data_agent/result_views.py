"""A step's result outside its conversation: rows, files, chart. Somebody else's step that is not shared is a 404."""

import base64
import hashlib
import uuid

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from config import addresses
from data_agent import access, audit, charts, results, steps
from data_agent.audit import Person
from data_agent.errors import NotFound
from data_agent.execution import ResultColumn
from data_agent.models import Step
from data_agent.step_data import is_withheld

_WITHHELD = "This result holds personal data, which your account may not see."


async def visitor(request: HttpRequest) -> Person:
    """Return the analyst who asks; for all others there is nothing here (404)."""
    user = await request.auser()
    person = await sync_to_async(access.person_of)(user, addresses.of_request(request))
    if person is None:
        raise Http404("There is nothing at this address for this account.")
    return person


async def _step(request: HttpRequest, step_id: uuid.UUID) -> tuple[Person, Step]:
    person = await visitor(request)
    try:
        return person, await steps.visible(person, step_id)
    except NotFound as error:
        raise Http404(str(error)) from None


async def _result(request: HttpRequest, step_id: uuid.UUID) -> tuple[Person, Step]:
    person, step = await _step(request, step_id)
    if not step.columns or is_withheld(step, person):
        raise Http404(_WITHHELD if step.columns else "This step has no result.")
    return person, step


@require_safe
async def step(request: HttpRequest, step_id: uuid.UUID) -> HttpResponse:
    """Lead to a saved step in its conversation."""
    _, found = await _step(request, step_id)
    return redirect(f"{reverse('data_agent:session', args=[found.session_id])}#step-{found.pk}")


@require_safe
@cache_control(private=True, no_cache=True)
async def rows(request: HttpRequest, step_id: uuid.UUID) -> HttpResponse:
    """Answer with a page of rows: `?page=2&size=50&sort=1&order=desc`; `sort` is a column's place, from 0."""
    _, found = await _result(request, step_id)
    try:
        sort = int(request.GET["sort"]) if "sort" in request.GET else None
        number, size = int(request.GET.get("page", 1)), int(request.GET.get("size", results.PAGE_ROWS))
    except ValueError:
        return _bad(gettext("page, size and sort are whole numbers."))
    if sort is not None and not 0 <= sort < len(found.columns):
        return _bad(gettext("sort is the place of a column, from 0 to %(last)s.") % {"last": len(found.columns) - 1})
    page = results.page(found, number=number, size=size, sort=sort, descending=request.GET.get("order") == "desc")
    data = {"columns": found.columns, "rows": page.rows, "page": page.page, "pages": page.pages, "count": page.count}
    return JsonResponse(data)


@require_safe
@cache_control(private=True, no_cache=True)
async def result(request: HttpRequest, step_id: str, kind: str) -> HttpResponse:
    """Send the kept rows as a file, and log that."""
    person, found = await _result(request, _uuid(step_id))
    await sync_to_async(_record_download)(person, found, kind)
    response: HttpResponse
    if kind == "csv":
        # With the mark that makes spreadsheet programs read UTF-8.
        response = HttpResponse("\ufeff" + "".join(results.as_csv(found)), content_type="text/csv; charset=utf-8")
    else:
        response = HttpResponse(results.as_json(found), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="step-{found.number}-{str(found.pk)[-6:]}.{kind}"'
    return response


@require_safe
@cache_control(private=True, max_age=3600)
async def chart(request: HttpRequest, step_id: uuid.UUID) -> HttpResponse:
    """Draw the chart that the result suggests, with `?narrow` for a phone; 404 where it suggests none."""
    _, found = await _result(request, step_id)
    columns = [ResultColumn(**column) for column in found.columns]
    suggestion = charts.suggest(columns, found.rows)
    if suggestion is None:
        raise Http404("This result suggests no chart.")
    size = charts.NARROW if "narrow" in request.GET else charts.WIDE
    draw = sync_to_async(charts.render, thread_sensitive=False)
    svg = await draw(columns, found.rows, suggestion, found.question, size)
    response = HttpResponse(svg, content_type="image/svg+xml")
    # Nothing but its own style sheet, also for who opens the picture by itself.
    style = base64.b64encode(hashlib.sha256(charts.style_of(svg).encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; frame-ancestors 'none'"
    response["Content-Security-Policy"] = policy
    return response


def _record_download(person: Person, step: Step, kind: str) -> None:
    audit.record(
        "downloaded",
        person,
        session_id=step.session_id,
        step_id=step.pk,
        question=step.question,
        sql=step.sql,
        verdict={"format": kind, "personal": step.personal},
        rows=len(step.rows),
        size=step.bytes,
    )


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Http404("There is no such step.") from None


def _bad(message: str) -> HttpResponse:
    return JsonResponse({"error": {"code": "bad_request", "message": message}}, status=400)
