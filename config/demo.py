"""One-click sign-in as a demo analyst, for who has just started the system on their own machine.

`manage.py up` prints a link with a signed token. It signs in by GET, which otherwise would let a foreign page sign a
visitor in; here that page would need a token, and tokens are only written to the terminal. The view answers nobody
but this machine, and only where the setting DEMO says so.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from config.operators import is_on_this_machine

LINK_AGE = timedelta(days=1)
USERNAME = "analyst"
_SALT = "config.demo"


def link(site: str, secret_key: str) -> str:
    """Return the address that signs in, for a site ("http://127.0.0.1:8000") with this SECRET_KEY."""
    return f"{site}/demo/{signing.dumps(USERNAME, key=secret_key, salt=_SALT)}/"


@never_cache
@require_GET
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Sign the visitor in as the demo analyst and show the data agent."""
    if not settings.DEMO or not is_on_this_machine(request):
        raise Http404
    try:
        signing.loads(token, salt=_SALT, max_age=LINK_AGE)
    except signing.BadSignature:
        return _refuse(
            gettext(
                "This demo link is not valid, or older than a day. Run `make run` (or `manage.py up`) once more, while "
                "the system runs: it prints a fresh one."
            )
        )
    analyst = _analyst()
    if analyst.has_usable_password() or not analyst.is_active:
        sentence = gettext("There is an account named '%(name)s' that is not the demo's. Sign in at /admin/ instead.")
        return _refuse(sentence % {"name": USERNAME})
    login(request, analyst, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("/data-agent/")


def _analyst() -> User:
    user = User.objects.filter(username=USERNAME).first()
    if user is None:
        # Without a password nobody signs in as this user by any other way.
        user = User.objects.create_user(USERNAME)
    permission = Permission.objects.filter(codename="use_data_agent", content_type__app_label="data_agent").first()
    if permission is not None:
        user.user_permissions.add(permission)
    return user


def _refuse(sentence: str) -> HttpResponse:
    return HttpResponseForbidden(sentence + "\n", content_type="text/plain; charset=utf-8")
