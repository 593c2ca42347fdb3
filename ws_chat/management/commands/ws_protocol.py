"""Writes the JSON schema of the WebSocket chat's frames."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from ws_chat import protocol


class Command(BaseCommand):
    """Run it after a change of `ws_chat/protocol.py`; a test sees to that."""

    help = "Writes ws_chat/protocol.schema.json anew."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file."""
        protocol.SCHEMA.write_text(json.dumps(protocol.schema(), indent=2) + "\n", encoding="utf-8")
        self.stdout.write(f"{protocol.SCHEMA.name} is written.")
