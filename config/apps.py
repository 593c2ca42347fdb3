"""What the project sets up in Django once its apps are there."""

from django.apps import AppConfig


class Config(AppConfig):
    """The project itself, which is an app for its commands, checks and the admin's sign-in."""

    name = "config"

    def ready(self) -> None:
        """Register the checks, and have sign-ins and statements counted."""
        from django.contrib import admin

        from config import checks  # noqa: F401
        from config.observability import counting
        from config.sign_ins import SignInForm

        admin.site.login_form = SignInForm
        counting.install()
