"""Who asks, as budgets count them: an account where somebody is signed in, otherwise the visitor of this browser.

Who has no session cookie is nobody's account; that is known without a look into the database.
"""

from importlib import import_module
from typing import Any

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest, parse_cookie

from config import addresses
from config.visitors import visitor_of
from llm.budgets import Asker

log = structlog.get_logger(__name__)

User = AbstractBaseUser | AnonymousUser


async def of_request(request: HttpRequest) -> Asker:
    """Return who sent a request. Reads the database (session and account) where there is a session cookie only."""
    user = await request.auser() if request.COOKIES.get(settings.SESSION_COOKIE_NAME) else AnonymousUser()
    return _asker(user, str(visitor_of(request)), addresses.of_request(request))


async def of_socket(scope: Any) -> Asker:
    """Return who opened a socket that nobody must sign in for; reads as `of_request` does.

    With the database away they count as a visitor: such a chat goes on without it.
    """
    cookies = b";".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)
    user: User = AnonymousUser()
    if key:
        try:
            user = await database_sync_to_async(_user_of)(key)
        except DatabaseError as error:
            log.warning("the account was not read, they count as a visitor", error=type(error).__name__)
    return _asker(user, str(scope["visitor_id"]), addresses.of_scope(scope))


def of_account(user: User, scope: Any) -> Asker:
    """Return who opened a socket, where it is known that they have signed in."""
    return _asker(user, "", addresses.of_scope(scope))


def _user_of(session_key: str) -> User:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return get_user(request)


def _asker(user: User, visitor: str, address: str) -> Asker:
    network = addresses.network_of(address)
    if not user.is_authenticated:
        return Asker(visitor, network)
    return Asker(f"account-{user.pk}", network, "staff" if getattr(user, "is_staff", False) else "signed-in")
