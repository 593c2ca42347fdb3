"""The terminal of `up`: lines of many processes, each behind its process's name."""

import hashlib
import os
import sys
from typing import TextIO

# Cyan, green, magenta, yellow, blue and their bright forms; red is left for what went wrong elsewhere.
_COLOURS = (36, 32, 35, 33, 34, 96, 92, 95, 93, 94)
_OWN_NAME = "up"
_WIDTH = 8


class Console:
    """Writes lines as `name     | text`, the name in a colour of its own on a terminal (unless NO_COLOR is set)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ

    def say(self, text: str) -> None:
        """Write lines of our own."""
        for line in text.splitlines():
            self.line(_OWN_NAME, line)

    def line(self, name: str, text: str) -> None:
        """Write one line of a process."""
        label = f"{name:<{_WIDTH}} |"
        if self._coloured:
            colour = 1 if name == _OWN_NAME else _COLOURS[hashlib.sha256(name.encode()).digest()[0] % len(_COLOURS)]
            label = f"\x1b[{colour}m{label}\x1b[0m"
        try:
            print(label, text, file=self._stream, flush=True)
        except (OSError, ValueError):
            # The terminal is gone. Its processes must still be stopped in order, so this is no reason to fall.
            return
