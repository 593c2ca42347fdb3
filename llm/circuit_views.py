"""Closing a provider's circuit by hand, from the operators' page."""

import structlog
from asgiref.sync import async_to_sync
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from llm import breaker, registry
from llm.shared_state import Away

log = structlog.get_logger(__name__)


@require_POST
@permission_required("llm.change_call", raise_exception=True)
def close(request: HttpRequest) -> HttpResponse:
    """Forget a provider's failures, so that it is asked again at once, and go back to the page."""
    provider = request.POST.get("provider", "")
    if provider not in registry.names():
        return HttpResponseBadRequest(gettext("There is no such provider. Go back, and reload the page."))
    try:
        async_to_sync(_close)(provider)
    except Away:
        messages.error(request, gettext("Redis does not answer, so nothing was closed. Try again when it is back."))
        return redirect("operations")
    LogEntry.objects.create(
        user_id=str(request.user.pk),
        action_flag=CHANGE,
        object_repr=f"circuit of {provider}",
        change_message="Closed by hand.",
    )
    log.warning("an operator closed a circuit", provider=provider, operator=request.user.pk)
    said = gettext("The circuit of %(provider)s is closed: it is asked again with the next question.")
    messages.success(request, said % {"provider": provider})
    return redirect("operations")


async def _close(provider: str) -> None:
    circuits = breaker.from_settings()
    await circuits.reset(provider)
    # Which keeps silent about a Redis that is away.
    await circuits.states([provider])
