"""Start servers alone, for tests and benchmarks: `python -m config.embedded --data DIR [--throw-away] [--only NAME]`.

When all are ready one line of JSON on standard output has the settings that lead to them. They stop when standard
input ends, so they never outlive whoever started them, or on SIGINT or SIGTERM. Logs go to standard error.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from config.embedded import servers
from config.embedded.console import Console
from config.embedded.errors import EmbeddedError
from config.embedded.serving import Plan
from config.embedded.state import State
from config.embedded.supervisor import Supervisor


async def main(choice: servers.Choice, state: State) -> None:
    """Start the servers, and run them until standard input ends."""
    supervisor = Supervisor(Console(sys.stderr), state.runs)

    async def work() -> None:
        settings = await servers.start(choice, state, supervisor)
        state.serves(url=None, settings=settings)
        print(json.dumps(settings), flush=True)
        await end_of_input()

    await supervisor.run(work())


async def end_of_input() -> None:
    """Return once whoever started us closes our standard input, or ends."""
    stream = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin)
    while await stream.read(1024):
        continue


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description="Start servers alone.")
    parser.add_argument("--only", action="append", choices=servers.NAMES, help="not all of them; may be repeated")
    parser.add_argument("--data", type=Path, required=True, help="where they keep their state")
    parser.add_argument("--throw-away", action="store_true", help="faster, and not safe from power cuts")
    parser.add_argument("--model", type=Path, help="a GGUF file instead of the one that is installed")
    arguments = parser.parse_args()
    names = tuple(arguments.only or servers.NAMES)
    try:
        with State(arguments.data) as held:
            models = Plan(arguments.model, arguments.model) if arguments.model else None
            asyncio.run(main(servers.Choice(names, not arguments.throw_away, models), held))
    except EmbeddedError as error:
        sys.exit(str(error))
