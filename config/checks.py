"""What `manage.py check --deploy` says beside Django's own checks.

Some of Django's look for its own middleware in the settings and say nothing where they find subclasses: those about
HTTPS, and about the cookie of forms. Here is what they would say, in the words of our settings.

https://docs.djangoproject.com/en/5.2/ref/checks/#security
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each setting that is right for one's own machine only."""
    found = (
        (
            not settings.SECURE_HSTS_SECONDS,
            "HSTS_SECONDS is 0: plain HTTP is answered, and browsers do not insist on HTTPS.",
            "Set HSTS_SECONDS=3600 first, and 31536000 once HTTPS works everywhere.",
            "config.W001",
        ),
        (
            not settings.CSRF_COOKIE_SECURE,
            "SECURE_COOKIES is off: whoever listens to plain HTTP is whoever has signed in.",
            "Set SECURE_COOKIES=true.",
            "config.W002",
        ),
        (
            settings.DEMO,
            "DEMO is on: a link signs people in without a password.",
            "Set DEMO=false; it is for `manage.py up` on one's own machine.",
            "config.W003",
        ),
        (
            "*" in settings.ALLOWED_HOSTS or set(settings.ALLOWED_HOSTS) <= {"localhost", "127.0.0.1", "[::1]"},
            "ALLOWED_HOSTS names no host that visitors come to, or every one.",
            "Set it to the site's names, with 127.0.0.1 for the health check: ALLOWED_HOSTS=chat.example.org,127.0.0.1",
            "config.W004",
        ),
    )
    return [Warning(message, hint=hint, id=name) for is_wrong, message, hint, name in found if is_wrong]
