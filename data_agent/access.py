"""Who may use the data agent, and what they may see and do there."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.models import User as AuthUser

from config import database
from data_agent.audit import Person

PERMISSION = "data_agent.use_data_agent"
# Without it names and e-mail addresses are masked.
PERSONAL = "data_agent.see_personal_data"
AUDIT = "data_agent.audit_data_agent"

_PERSON = """
    SELECT person.username, person.is_staff, person.is_superuser, ARRAY(
        SELECT type.app_label || '.' || permission.codename
        FROM auth_permission permission JOIN django_content_type type ON type.id = permission.content_type_id
        WHERE type.app_label = 'data_agent' AND (
            EXISTS (
                SELECT FROM auth_user_user_permissions own
                WHERE own.permission_id = permission.id AND own.user_id = person.id)
            OR EXISTS (
                SELECT FROM auth_group_permissions given JOIN auth_user_groups member USING (group_id)
                WHERE given.permission_id = permission.id AND member.user_id = person.id)))
    FROM auth_user person WHERE person.id = %(id)s AND person.is_active
"""


def may_use(user: AuthUser | AnonymousUser) -> bool:
    """Whether a user, or a visitor who has not signed in, may use the data agent."""
    return user.is_authenticated and user.has_perm(PERMISSION)


def may_audit(user: AuthUser | AnonymousUser) -> bool:
    """Whether a user may read the audit log."""
    return user.is_authenticated and user.has_perm(AUDIT)


def person_of(user: AuthUser | AnonymousUser, address: str) -> Person | None:
    """Return an analyst with what they may see and do; None for who may not use the data agent."""
    if user.pk is None or not may_use(user):
        return None
    return Person(user.pk, user.get_username(), address, user.has_perm(PERSONAL), user.is_staff)


async def person_now(user_id: int, address: str) -> Person | None:
    """Return that as of this moment: an account or a permission may be taken away while a page is open.

    Each frame of a page asks, so it is one statement: what `ModelBackend` says of both permissions.
    """
    for name, staff, superuser, granted in await database.rows(_PERSON, {"id": user_id}):
        if superuser or PERMISSION in granted:
            return Person(user_id, name, address, superuser or PERSONAL in granted, staff)
    return None


def analyst_named(name: str) -> AuthUser | None:
    """Return the analyst of that name, None where there is none."""
    user = get_user_model().objects.filter(username=name).first()
    return user if user is not None and may_use(user) else None
