"""The timelines as a Django app of their own, with their own migrations: the provider layer can do without them."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TimelinesConfig(AppConfig):
    """Registers the app under a short label."""

    name = "llm.timelines"
    label = "timelines"
    verbose_name = _("Timelines")
