"""The staff page on models: what serves which purpose, and a button that fetches a better local one."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from config import local_models

View = Callable[[HttpRequest], HttpResponseBase]


def for_staff(view: View) -> View:
    """Let staff in, send who is not signed in to the sign-in page, and refuse everybody else."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login("/models/")
        if not (request.user.is_active and request.user.is_staff):
            raise PermissionDenied(gettext("Only staff may see and change which models are here."))
        return view(request)

    return guarded


@require_safe
@never_cache
@for_staff
def page(request: HttpRequest) -> HttpResponse:
    """Show what serves, and what can be done."""
    return render(request, "models.html", {"serving": local_models.now_serving(), "offer": local_models.offer()})


@require_safe
@never_cache
@for_staff
def progress(request: HttpRequest) -> JsonResponse:
    """Say how far the fetch is; `state` is "none" where there was none."""
    seen = local_models.offer().progress
    if seen is None:
        return JsonResponse({"state": "none"})
    return JsonResponse(
        {"state": seen.state, "percent": seen.percent, "sentence": seen.sentence(), "message": seen.message}
    )


@require_POST
@for_staff
def fetch(request: HttpRequest) -> HttpResponse:
    """Begin to fetch the better model."""
    if local_models.offer().why_not or not local_models.start_fetch():
        messages.error(
            request, gettext("The fetch could not be started. Its last words are in models/fetch.log, in the data.")
        )
    return redirect("models")


@require_POST
@for_staff
def cancel(request: HttpRequest) -> HttpResponse:
    """Stop fetching. What has arrived stays."""
    if not local_models.cancel_fetch():
        messages.info(request, gettext("Nothing was being fetched."))
    return redirect("models")
