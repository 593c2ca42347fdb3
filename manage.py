#!/usr/bin/env python
"""Triptych's command line."""

import os
import sys

from config.env import ConfigurationError


def main() -> None:
    """Run a management command; a bad setting ends it with one line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.exit(f"Cannot start: {error}")


if __name__ == "__main__":
    main()
