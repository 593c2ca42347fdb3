import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User

from data_agent import access

pytestmark = pytest.mark.django_db(transaction=True)


def _user(*, own: list[str], of_group: list[str], **flags: bool) -> User:
    user = User.objects.create_user("ada", **flags)
    user.user_permissions.set(Permission.objects.filter(codename__in=own))
    group = Group.objects.create(name="analysts")
    group.permissions.set(Permission.objects.filter(codename__in=of_group))
    user.groups.add(group)
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize("flags", [{}, {"is_staff": True}, {"is_superuser": True}, {"is_active": False}])
@pytest.mark.parametrize("own", [[], ["use_data_agent"], ["use_data_agent", "see_personal_data"]])
@pytest.mark.parametrize("of_group", [[], ["use_data_agent"], ["see_personal_data", "audit_data_agent"]])
async def test_one_statement_says_the_same_as_djangos_permissions(
    flags: dict[str, bool], own: list[str], of_group: list[str]
) -> None:
    user = await sync_to_async(_user)(own=own, of_group=of_group, **flags)
    expected = await sync_to_async(access.person_of)(user, "192.0.2.1")
    assert await access.person_now(user.pk, "192.0.2.1") == expected


async def test_who_was_deleted_may_nothing() -> None:
    assert await access.person_now(0, "192.0.2.1") is None
