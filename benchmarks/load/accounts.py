"""Analysts and their sign-ins: `python -m benchmarks.load.accounts NUMBER` prints the cookies as JSON.

They are made in the database, on the system that the environment leads to: the sign-in page rightly refuses a hundred
attempts from one network.
"""

import json
import os
import sys


def main(number: int) -> None:
    """Make so many analysts with a session each."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import Permission, User
    from django.contrib.sessions.backends.db import SessionStore

    permission = Permission.objects.get(codename="use_data_agent", content_type__app_label="data_agent")
    cookies = []
    for index in range(number):
        analyst = User.objects.create_user(f"load-{index}")
        analyst.user_permissions.add(permission)
        session = SessionStore()
        session[SESSION_KEY] = str(analyst.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = analyst.get_session_auth_hash()
        session.create()
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
    print(json.dumps(cookies))


if __name__ == "__main__":
    main(int(sys.argv[1]))
