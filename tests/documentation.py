"""The reference pages that are written by what they describe: `make docs`, or `python -m tests.documentation`.

Settings come from `config/env.py` and their groups and defaults from `.env.example`, which a test of the settings holds
against it; commands come from their own `help`.
"""

import os
import re
from collections.abc import Iterator

from config.env import BASE_DIR, Environment

REFERENCE = BASE_DIR / "docs" / "reference"
APPS = ("config", "kafka_chat", "ws_chat", "data_agent", "llm")

_SETTINGS = """# Settings

<!-- Written by `make docs`. -->

Each is an environment variable, or a line in `.env` beside `manage.py`. `NAME_FILE=/path` may stand for any `NAME`: the
value is then what is in that file. The environment goes before `NAME_FILE`, that before `.env`, and `ENV_FILE` names
another file than `.env`. A value that cannot be read stops the program at its start with one line that names it.

`manage.py up` sets the addresses of what it starts, and starts what has no address.
"""
_COMMANDS = """# Commands

<!-- Written by `make docs`. -->

`python manage.py NAME`, beside those that Django brings; `--help` explains each option. With `make run` going, put
`ENV_FILE=.data/up.env` in front: that is how a command finds the running servers.

| command | |
|---|---|
"""


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    return _SETTINGS + "".join(_settings())


def commands_page() -> str:
    """Return docs/reference/commands.md."""
    return _COMMANDS + "".join(f"| `{name}` | {_cell(text)} |\n" for name, text in sorted(_commands()))


def _settings() -> Iterator[str]:
    meanings = {name.upper(): field.description or "" for name, field in Environment.model_fields.items()}
    for line in (BASE_DIR / ".env.example").read_text().splitlines():
        if group := re.fullmatch(r"# ---- (.+) ----", line):
            yield f"\n## {group[1].partition(':')[0]}\n\n| setting | default | meaning |\n|---|---|---|\n"
        elif (setting := re.fullmatch(r"#([A-Z_]+)=(.*)", line)) and setting[1] in meanings:
            default = f"`{setting[2]}`" if setting[2] else ""
            yield f"| `{setting[1]}` | {default} | {_cell(meanings[setting[1]])} |\n"


def _commands() -> Iterator[tuple[str, str]]:
    from django.core.management import get_commands, load_command_class

    for name, app in get_commands().items():
        if app in APPS:
            yield name, load_command_class(app, name).help


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    (REFERENCE / "settings.md").write_text(settings_page())
    (REFERENCE / "commands.md").write_text(commands_page())


if __name__ == "__main__":
    main()
