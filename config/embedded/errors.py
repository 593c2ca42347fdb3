"""Errors of the embedded servers. Each message is meant for the person at the terminal.

EmbeddedError
  AlreadyRunning    another `up` holds the folder
  ProcessFailed     a process ended, or was not ready in time
"""


class EmbeddedError(Exception):
    """The servers cannot run; the message says what to do."""


class AlreadyRunning(EmbeddedError):
    """Another process holds the state folder. `pid` and `url` are None while it is still starting."""

    def __init__(self, pid: int | None, url: str | None) -> None:
        self.pid = pid
        self.url = url
        super().__init__(
            f"Triptych is already running{f' (process {pid})' if pid else ''}"
            + (f": {url}" if url else ", or starting.")
        )


class ProcessFailed(EmbeddedError):
    """A process ended, or was not ready in time. The message ends with the last lines it wrote."""

    def __init__(self, summary: str, last_lines: list[str]) -> None:
        self.summary = summary
        super().__init__("\n".join([f"{summary}." + (" Its last lines:" if last_lines else ""), *last_lines]))
