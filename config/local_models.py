"""Which model answers for which purpose, what that means for the answers, and how staff get a better local one."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_noop

from config.embedded import fetching
from config.embedded.progress import Progress
from config.embedded.recipes import BETTER, CODER, SMALL, models_folder
from config.env import BASE_DIR

log = structlog.get_logger(__name__)

_START_SECONDS = 10.0
_PURPOSES = {
    "chat": gettext_noop("Answers in both chats"),
    "sql": gettext_noop("SQL and answers of the data agent"),
    "summary": gettext_noop("Summaries of long chats"),
    "categorise": gettext_noop("Categories of questions"),
}
_QUALITY = {
    (SMALL, "sql"): gettext_noop(
        "Cannot write SQL: the data agent offers the nearest of its verified questions instead."
    ),
    (SMALL, ""): gettext_noop("Answers fast, and gets facts wrong."),
    (BETTER, "sql"): gettext_noop(
        "Writes correct simple SQL. Every query is checked and approved before it runs, as always."
    ),
    (BETTER, ""): gettext_noop("Answers better than the small model, and more slowly."),
}


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves a purpose now, in words."""

    purpose: str
    model: str
    quality: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What staff can do about the better model. Where they can do nothing `why_not` says why."""

    why_not: str = ""
    # Its file is there. Whether it serves is another question: it does from the next start on, if memory allows.
    fetched: bool = False
    serves: bool = False
    remark: str = ""
    progress: Progress | None = None

    @property
    def running(self) -> bool:
        """Whether it is being fetched now."""
        return self.progress is not None and self.progress.state == "running"


def now_serving() -> list[Serving]:
    """Return what serves each purpose: its chain's providers, the local one by its model's name."""
    return [
        Serving(
            gettext(_PURPOSES.get(purpose, purpose)),
            gettext(", else ").join((_local_name(purpose) or name) if name == "local" else name for name in chain),
            gettext(_quality(purpose)) if chain[0] == "local" else "",
        )
        for purpose, chain in settings.LLM_CHAINS.items()
    ]


def small_model(request: HttpRequest) -> dict[str, frozenset[str]]:
    """Tell every template for which purposes the small local model is the first to answer (context processor)."""
    return {"small_model_serves": frozenset(purpose for purpose in settings.LLM_CHAINS if is_small(purpose))}


def is_small(purpose: str) -> bool:
    """Whether the small local model is the first to answer for a purpose."""
    chain = settings.LLM_CHAINS[purpose]
    return bool(chain) and chain[0] == "local" and _local_name(purpose) == SMALL


def offer() -> Offer:
    """Return how things stand with the better model."""
    folder = _folder()
    if folder is None:
        return Offer(
            gettext(
                "This site was not started by `make run`, so it runs no local model of its own. Where it was started, "
                "set LLM_CHAT and LLM_SQL to a provider, or LLM_LOCAL_URL to a server with a better model."
            )
        )
    environment = settings.ENVIRONMENT
    if not environment.local_model_named:
        return Offer(gettext("No local model is in use here: the settings LLM_CHAT and LLM_SQL name other providers."))
    if environment.llm_local_model is not None:
        return Offer(
            gettext(
                "`make run` serves the file that LLM_LOCAL_MODEL names. Remove that setting to use this model instead."
            ),
            remark=environment.llm_local_remark,
        )
    if not environment.llm_local_name:
        return Offer(
            gettext("The local model's server was not started by `make run`: LLM_LOCAL_URL leads to another one.")
        )
    progress = fetching.progress(folder)
    return Offer(
        fetched=(folder / CODER.file_name).is_file(),
        serves=BETTER in {_local_name("chat"), _local_name("sql")},
        remark=environment.llm_local_remark,
        progress=progress,
    )


def start_fetch() -> bool:
    """Begin to fetch the better model, in a process of its own that ends with this one.

    Return whether it is being fetched (also if somebody else began), or has been by now.
    """
    folder = _folder()
    if folder is None:
        return False
    if fetching.is_running(folder):
        return True
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "fetch.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "fetch_model", "--until-input-ends", "--data", str(folder.parent)],
            cwd=BASE_DIR,
            env=os.environ,
            # Never written to. It ends when we do, and then the fetch stops.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    log.info("fetching the better model", pid=process.pid)
    threading.Thread(target=_bury, args=(process,), daemon=True).start()
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None and not fetching.is_running(folder):
        time.sleep(0.05)
    return fetching.is_running(folder) or process.poll() == 0


def cancel_fetch() -> bool:
    """Stop fetching. Return whether somebody was."""
    folder = _folder()
    return folder is not None and fetching.cancel(folder)


def _bury(process: "subprocess.Popen[bytes]") -> None:
    log.info("the fetch has ended", exit_code=process.wait())
    if process.stdin is not None:
        process.stdin.close()


def _folder() -> Path | None:
    data = settings.ENVIRONMENT.data_folder
    return models_folder(data) if data else None


def _local_name(purpose: str) -> str:
    environment = settings.ENVIRONMENT
    return (environment.llm_local_sql_name if purpose == "sql" else "") or environment.llm_local_name


def _quality(purpose: str) -> str:
    name = _local_name(purpose)
    return _QUALITY.get((name, purpose)) or _QUALITY.get((name, ""), "")
