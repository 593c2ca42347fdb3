"""A small set of demo data, the agent's real role, and people who may and may not use the agent."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from data_agent import demo_data, loading
from data_agent.audit import Person


@pytest.fixture(scope="session")
def small_data() -> demo_data.DemoData:
    """Rows enough for every question, and few enough to be copied for each test."""
    return demo_data.generate(users=200, purchases=2_000)


@pytest.fixture(scope="session")
def agent_role(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The role that runs queries, in the test database."""
    with django_db_blocker.unblock():
        call_command("create_agent_role", verbosity=0)


@pytest.fixture
def analytics(transactional_db: None, agent_role: None, small_data: demo_data.DemoData) -> Iterator[demo_data.DemoData]:
    """The analytics tables, filled; committed, because the agent has a connection of its own."""
    loading.load(small_data, replace=True)
    yield small_data


@pytest.fixture
def analyst(transactional_db: None) -> User:
    """A user who may use the data agent."""
    user = User.objects.create_user("ada", password="correct horse")
    user.user_permissions.add(Permission.objects.get(codename="use_data_agent"))
    return user


@pytest.fixture
def stranger(transactional_db: None) -> User:
    """Another user who may use it too."""
    user = User.objects.create_user("grace")
    user.user_permissions.add(Permission.objects.get(codename="use_data_agent"))
    return user


@pytest.fixture
def staff(transactional_db: None) -> User:
    """A user of staff who may use it and see personal data."""
    user = User.objects.create_user("joan", is_staff=True)
    codenames = ["use_data_agent", "see_personal_data"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def person(analyst: User) -> Person:
    """The analyst, as the audit log names them."""
    return Person(analyst.pk, analyst.username, "127.0.0.1")
