"""A system check that asks the server what the data agent's roles can really do.

It connects, so Django runs it where a database is named: `manage.py check --database default`, and `prepare` at each
start. Until it finds nothing, `data_agent.execution` runs no query.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

from data_agent import roles

_HINT = "Run `manage.py create_agent_role`; it says what an administrator must do where it may not do it itself."


@register(Tags.database)
def agent_roles(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return a warning for each role that can do too much or too little: the rest of the project works without it."""
    if "default" not in (databases or ()):
        return []
    url = settings.ANALYTICS_DATABASE_URL
    if not url:
        return [Warning("ANALYTICS_DATABASE_URL is not set: the data agent runs no query.", id="data_agent.W001")]
    try:
        wanted = roles.both(url)
    except ValueError as error:
        return [Warning(str(error), id="data_agent.W002")]
    return [
        Warning(
            f"The data agent runs no query as {role.name}: {'; '.join(found)}.",
            hint=_HINT,
            id="data_agent.W003",
        )
        for role in wanted
        if (found := roles.problems(url, personal=role.personal))
    ]
