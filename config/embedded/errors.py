"""Errors of the embedded servers. Each message is meant for the person at the terminal.

EmbeddedError
  AlreadyRunning    another `up` holds the folder
  ProcessFailed     a process ended, or was not ready in time
  BrokenModel       a model file is damaged, truncated, or no model file at all
  FetchFailed       a model cannot be fetched
    AlreadyFetching another process is fetching it
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


class BrokenModel(EmbeddedError):
    """A model file cannot be used. The message is one sentence that names the file."""


class FetchFailed(EmbeddedError):
    """A model was not fetched; what arrived and was good is kept, and the next try goes on from there."""


class AlreadyFetching(FetchFailed):
    """Another process is fetching into the same folder. `pid` is None while it is still starting."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        super().__init__(
            f"The model is being fetched already{f' (process {pid})' if pid else ''}. Wait until that has ended, or "
            "stop it first."
        )
