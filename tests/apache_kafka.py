"""Apache Kafka for tests: a single KRaft node, broker and controller in one process.

`make test-kafka` fetches it with Maven (tests/pom.xml). As `python -m config.embedded` does, `python -m
tests.apache_kafka --data DIR` prints one line of JSON with the settings that lead to it, and stops when standard input
ends.
"""

import argparse
import asyncio
import base64
import json
import shutil
import sys
import uuid
from functools import partial
from pathlib import Path

from config.embedded.__main__ import end_of_input
from config.embedded.console import Console
from config.embedded.errors import EmbeddedError
from config.embedded.ports import HOST
from config.embedded.probes import accepts_connections
from config.embedded.processes import Program, bare_environment
from config.embedded.state import State
from config.embedded.supervisor import Supervisor
from config.env import BASE_DIR

JARS = BASE_DIR / ".cache" / "kafka"

# Small, and quick to start.
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_LOGGING = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
"""


def server(state: State) -> tuple[Program, dict[str, str]]:
    """Return the program and the settings that lead to it. What it is told outlives a restart on the same folder.

    Raises EmbeddedError where Java or the files of Kafka are missing.
    """
    home = state.folder / "apache-kafka"
    home.mkdir(parents=True, exist_ok=True)
    port, controller_port = state.port("kafka"), state.port("kafka-controller")
    properties, logging = home / "server.properties", home / "log4j2.properties"
    lines = [f"{name}={value}\n" for name, value in _properties(home, port, controller_port).items()]
    properties.write_text("".join(lines))
    logging.write_text(_LOGGING)
    java = (_java(), *_JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{JARS}/*")

    async def format_storage() -> None:
        if not (home / "data" / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # It may begin with a hyphen.
            identity = f"--cluster-id={cluster}"
            await _complete(*java, "kafka.tools.StorageTool", "format", identity, "-c", str(properties))

    program = Program(
        name="kafka",
        argv=(*java, "kafka.Kafka", str(properties)),
        cwd=home,
        env=bare_environment(),
        setup=format_storage,
        ready=partial(accepts_connections, port),
        ready_timeout=60,
        grace=20,
    )
    # Those of real Kafka: it wakes a waiting fetch, and the sessions of its groups last at least so long by default.
    return program, {
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{port}",
        "KAFKA_FETCH_WAIT_MS": "500",
        "KAFKA_SESSION_TIMEOUT_MS": "6000",
    }


def _properties(home: Path, port: int, controller_port: int) -> dict[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": home / "data",
        # As in production, topics come from `topics.ensure` alone.
        "auto.create.topics.enable": "false",
        # A single node has nobody to replicate to, and nobody to wait for.
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        # A node that was killed is let in again soon.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise EmbeddedError("Apache Kafka needs Java 17 or newer, and there is no `java` on the PATH.")
    if not any(JARS.glob("kafka_*.jar")):
        raise EmbeddedError("Apache Kafka has not been fetched. Run `make test-kafka`, which does that with Maven.")
    return java


async def _complete(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=bare_environment()
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise EmbeddedError(f"Kafka's storage cannot be formatted:\n{output.decode(errors='replace')}")


async def _main(state: State) -> None:
    supervisor = Supervisor(Console(sys.stderr), state.runs)
    program, settings = server(state)

    async def work() -> None:
        await supervisor.start(program)
        print(json.dumps(settings), flush=True)
        await end_of_input()

    await supervisor.run(work())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.apache_kafka", description="Start Apache Kafka alone.")
    parser.add_argument("--data", type=Path, required=True, help="where it keeps its state")
    try:
        with State(parser.parse_args().data) as held:
            asyncio.run(_main(held))
    except EmbeddedError as error:
        sys.exit(str(error))
