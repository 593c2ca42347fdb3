"""Who may use the data agent: active users with the permission."""

from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.models import User as AuthUser

PERMISSION = "data_agent.use_data_agent"


def may_use(user: AuthUser | AnonymousUser) -> bool:
    """Whether a user, or a visitor who has not signed in, may use the data agent."""
    return user.is_authenticated and user.has_perm(PERMISSION)


@database_sync_to_async
def may_still_use(user_id: int) -> bool:
    """Whether that is so at this moment: an account or a permission may be taken away while a page is open."""
    user = get_user_model().objects.filter(pk=user_id).first()
    return user is not None and may_use(user)
