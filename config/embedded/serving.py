"""Which model serves which purpose on this machine, and why.

The small model is always there. The better one, once fetched, writes the data agent's SQL; with more memory it
answers the chats, too. A GGUF file that somebody chose does both. What cannot be used is refused in one sentence.

Measured with Qwen2.5-Coder-1.5B (1.1 GB file): its server takes 2.1 GB, half of it the file itself, which the system
may drop and read again. The small model's takes 0.35 GB; database, broker, web server and worker 0.6 GB together.
"""

from dataclasses import dataclass
from pathlib import Path

from config.embedded import gguf, model, recipes
from config.embedded.errors import BrokenModel, EmbeddedError
from config.embedded.recipes import CODER

GIB = 1024**3
# Beyond the size of its file, of the memory that is available before anything has started.
SQL_ROOM = 3 * GIB // 2
# Every visitor's conversation then fills its context and prompt cache, and the rest of the machine needs some, too.
CHAT_ROOM = 3 * GIB


@dataclass(frozen=True)
class Plan:
    """The files that serve chats and SQL, what takes their place when one of them cannot be loaded, and remarks."""

    chat: Path
    sql: Path
    instead: Path | None = None
    remarks: tuple[str, ...] = ()


def installed() -> Plan:
    """Return the plan for the small model alone. Raises EmbeddedError where it is not installed."""
    small = model.installed_model()
    return Plan(small, small)


def plan(data: Path, chosen: Path | None, available: int) -> Plan:
    """Return what shall serve, for a data folder, a GGUF file that was chosen (or None), and memory in bytes.

    Raises EmbeddedError where neither that file nor the small model can be used.
    """
    if chosen is not None:
        try:
            gguf.check(chosen)
        except BrokenModel as error:
            return _small(f"{error} The small model is used instead.")
        return Plan(chosen, chosen, _small_if_installed())
    try:
        coder = recipes.find(CODER, recipes.models_folder(data))
    except (BrokenModel, OSError) as error:
        return _small(f"{error} The small model is used instead.")
    return installed() if coder is None else _with_coder(coder, available)


def _with_coder(coder: Path, available: int) -> Plan:
    size = coder.stat().st_size
    name = model.alias(coder)
    if available < size + SQL_ROOM:
        return _small(
            f"{name} is not used: {_gib(available)} GiB of memory are available, and it wants {_gib(size + SQL_ROOM)}."
        )
    if available < size + CHAT_ROOM:
        small = installed().chat
        remark = (
            f"{name} writes SQL only: for the chats, too, {_gib(size + CHAT_ROOM)} GiB of memory would have to be "
            f"available, and it is {_gib(available)}."
        )
        return Plan(chat=small, sql=coder, instead=small, remarks=(remark,))
    return Plan(coder, coder, _small_if_installed())


def _small(remark: str) -> Plan:
    small = installed().chat
    return Plan(small, small, remarks=(remark,))


def _small_if_installed() -> Path | None:
    try:
        return model.installed_model()
    except EmbeddedError:
        return None


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f}"
