"""Who runs this site, as far as a request shows it: details of its state are for them alone."""

import ipaddress

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from config import patience

# Seconds for the question who has signed in.
PATIENCE = 1.0


async def asks(request: HttpRequest) -> bool:
    """Return whether an operator asks: with the token, from this machine, or signed in as staff.

    Whether somebody is staff is a question to PostgreSQL; while that does not answer, nobody is.
    """
    if has_token(request) or is_on_this_machine(request):
        return True
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    try:
        user = await patience.within(PATIENCE, request.auser())
    except (DatabaseError, InterfaceError, TimeoutError):
        return False
    return user.is_active and user.is_staff


def has_token(request: HttpRequest) -> bool:
    """Return whether a request carries OPERATOR_TOKEN as its bearer token (RFC 6750, 2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected = settings.OPERATOR_TOKEN
    return bool(expected) and scheme.lower() == "bearer" and constant_time_compare(token.strip(), expected)


def is_on_this_machine(request: HttpRequest) -> bool:
    """Return whether a request comes straight from a loopback address.

    Behind a proxy on this machine every visitor has one, so what came through a proxy does not count.
    """
    forwarded = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP"))
    try:
        return not forwarded and ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
