"""The four servers by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from config.embedded import kafka, postgres, valkey
from config.embedded import model as local_model
from config.embedded.processes import Program
from config.embedded.state import State
from config.embedded.supervisor import Supervisor

NAMES = ("postgres", "kafka", "valkey", "model")


@dataclass(frozen=True)
class Choice:
    """Which servers to start. Durable ones keep what they are told through a power cut, the others are faster."""

    names: tuple[str, ...] = NAMES
    durable: bool = True
    model_file: Path | None = None


async def start(choice: Choice, state: State, supervisor: Supervisor) -> dict[str, str]:
    """Start the servers side by side; return the settings (environment variables) that lead to them.

    Raises EmbeddedError.
    """
    makers: dict[str, Callable[[], tuple[Program, dict[str, str]]]] = {
        "postgres": lambda: postgres.server(state, supervisor, durable=choice.durable),
        "kafka": lambda: kafka.server(state),
        "valkey": lambda: valkey.server(state, durable=choice.durable),
        "model": lambda: local_model.server(state, choice.model_file),
    }
    made = [makers[name]() for name in choice.names]
    if made:
        supervisor.console.say(f"Starting {_listed(choice.names)} ...")
    await supervisor.start(*(program for program, _ in made))
    return {name: value for _, settings in made for name, value in settings.items()}


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
