"""The provider layer as a Django app: the ledger of calls, prices, and how the about page presents itself."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from config.serving import draining


class LLMConfig(AppConfig):
    """Registers the app under the name that people know."""

    name = "llm"
    verbose_name = _("Model calls")

    def ready(self) -> None:
        """Have each web process keep up with what staff set."""
        # It needs the models, which are there only now.
        from llm import profile

        draining.at_start(profile.keep_up)
        draining.before_exit(profile.stop)
