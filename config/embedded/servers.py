"""The four servers by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from config.embedded import kafka, model, postgres, serving, valkey
from config.embedded.processes import Program
from config.embedded.recipes import SMALL
from config.embedded.serving import Plan
from config.embedded.state import State
from config.embedded.supervisor import Supervisor

# Seconds. A larger model reads the data agent's prompt for 7 s on two cores, and longer when they are busy.
SLOW_FIRST_TOKEN = "30"
NAMES = ("postgres", "kafka", "valkey", "model")


@dataclass(frozen=True)
class Choice:
    """Which servers to start. Durable ones keep what they are told through a power cut, the others are faster.

    `models` says which files serve; None is the small model for all purposes.
    """

    names: tuple[str, ...] = NAMES
    durable: bool = True
    models: Plan | None = None


async def start(choice: Choice, state: State, supervisor: Supervisor) -> dict[str, str]:
    """Start the servers side by side; return the settings (environment variables) that lead to them.

    Raises EmbeddedError.
    """
    makers: dict[str, Callable[[], tuple[Program, dict[str, str]]]] = {
        "postgres": lambda: postgres.server(state, supervisor, durable=choice.durable),
        "kafka": lambda: kafka.server(state),
        "valkey": lambda: valkey.server(state, durable=choice.durable),
    }
    made = [makers[name]() for name in choice.names if name in makers]
    models = _Models(choice.models or serving.installed(), state) if "model" in choice.names else None
    programs = [program for program, _ in made] + (models.programs if models else [])
    if programs:
        supervisor.console.say(f"Starting {_listed(program.name for program in programs)} ...")
    await supervisor.start(*programs)
    settings = {name: value for _, its in made for name, value in its.items()}
    return settings | (models.settings(supervisor) if models else {})


class _Models:
    """One server for all purposes, "model", or a second one that writes SQL, "coder"."""

    def __init__(self, plan: Plan, state: State) -> None:
        self._plan = plan
        chat, self._chat_url = model.server(state, plan.chat, instead=plan.instead)
        self.programs = [chat]
        self._sql_url = ""
        if plan.sql != plan.chat:
            coder, self._sql_url = model.server(state, plan.sql, name="coder", instead=plan.instead)
            self.programs.append(coder)

    def settings(self, supervisor: Supervisor) -> dict[str, str]:
        """Return the settings that lead to the models, once they run: a file may have been replaced by then."""
        remarks = list(self._plan.remarks)
        names = {}
        for program, file in zip(self.programs, (self._plan.chat, self._plan.sql), strict=False):
            if (replaced := supervisor.program(program.name) is not program) and self._plan.instead:
                remarks.append(f"{file} could not be loaded. The small model is used instead.")
            names[program.name] = model.alias(self._plan.instead if replaced and self._plan.instead else file)
        settings = {"LLM_LOCAL_URL": self._chat_url, "LLM_LOCAL_NAME": names["model"]}
        if self._sql_url:
            settings |= {"LLM_LOCAL_SQL_URL": self._sql_url, "LLM_LOCAL_SQL_NAME": names["coder"]}
        if names.get("coder", names["model"]) != SMALL:
            settings["LLM_SQL_FIRST_TOKEN_SECONDS"] = SLOW_FIRST_TOKEN
        return settings | ({"LLM_LOCAL_REMARK": " ".join(remarks)} if remarks else {})


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
