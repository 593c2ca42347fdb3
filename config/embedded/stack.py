"""The whole system on this machine: the servers that have no address yet, the web server, and a worker."""

import asyncio
import os
import sys
import time
from dataclasses import replace
from functools import partial

import psutil

from config import demo
from config.embedded import ports, servers, serving
from config.embedded.console import Console
from config.embedded.errors import EmbeddedError
from config.embedded.probes import answers_http
from config.embedded.processes import Program
from config.embedded.state import State
from config.embedded.supervisor import Supervisor
from config.env import BASE_DIR, Environment

WEB_PORT = 8000
# Longer than a worker takes to let go of its work, and Daphne of its connections.
_GRACE = 25.0
_APPLICATION_CLOSE_SECONDS = 10


class Stack:
    """Starts the servers without an address in `environment`, and serves the site on `port` (None: a free one)."""

    def __init__(self, environment: Environment, state: State, console: Console, port: int | None = None) -> None:
        self._environment = environment
        self._state = state
        self._console = console
        self._port = port
        self._supervisor = Supervisor(console, state.runs)

    async def run(self) -> None:
        """Run until a signal says stop. Raises EmbeddedError, after having stopped what was started."""
        await self._supervisor.run(self._work())

    async def _work(self) -> None:
        began = time.monotonic()
        self._check_port()
        choice = await self._choose()
        settings = self._own_settings() | self._missing(await servers.start(choice, self._state, self._supervisor))
        env = {**os.environ, **settings, "PYTHONUNBUFFERED": "1"}
        await self._supervisor.complete(_program("prepare", env, "manage.py", "prepare"))
        # Only now: until the web server listens, somebody else may take the port.
        port = self._web_port()
        await self._supervisor.start(_web(env, port), _program("worker", env, "manage.py", "kafka_worker"))
        site = f"http://{ports.HOST}:{port}"
        self._state.serves(url=f"{site}/", settings=settings)
        self._console.say(f"Triptych is ready after {time.monotonic() - began:.1f} s: {site}/about/")
        if sign_in := demo_link(self._environment, self._state, site):
            self._console.say(f"The data agent, signed in as a demo analyst (good for a day): {sign_in}")
        self._console.say("Ctrl-C stops everything.")
        await asyncio.Event().wait()

    async def _choose(self) -> servers.Choice:
        """Return what to start. A model file that has not been checked yet is read, which takes seconds."""
        names = servers_needed(self._environment)
        if "model" not in names:
            return servers.Choice(names)
        available = psutil.virtual_memory().available
        models = await asyncio.to_thread(serving.plan, self._state.folder, self._environment.llm_local_model, available)
        if self._environment.llm_local_sql_url is not None:
            # SQL is written elsewhere.
            models = replace(models, sql=models.chat)
        for remark in models.remarks:
            self._console.say(remark)
        return servers.Choice(names, models=models)

    def _check_port(self) -> None:
        if self._port is not None and not ports.is_free(self._port):
            raise EmbeddedError(
                f"Port {self._port} is taken or not allowed. Choose another with --port, or leave it out."
            )

    def _web_port(self) -> int:
        if self._port is not None:
            return self._port
        port = ports.next_free(WEB_PORT)
        if port != WEB_PORT:
            self._console.say(f"Port {WEB_PORT} is taken, so the site gets port {port}.")
        return port

    def _own_settings(self) -> dict[str, str]:
        own = {"SECRET_KEY": secret_key(self._environment, self._state), "DEMO": "true", "LOG_REQUESTS": "false"}
        return self._missing(own | {"DATA_FOLDER": str(self._state.folder)})

    def _missing(self, settings: dict[str, str]) -> dict[str, str]:
        """Leave out what the environment sets itself."""
        return {
            name: value for name, value in settings.items() if name.lower() not in self._environment.model_fields_set
        }


def servers_needed(environment: Environment) -> tuple[str, ...]:
    """Return the names of the servers whose addresses the environment does not have."""
    needed = {
        "postgres": environment.database_url is None,
        "kafka": environment.kafka_bootstrap_servers is None,
        "valkey": environment.redis_url is None,
        "model": environment.local_model_named and environment.llm_local_url is None,
    }
    return tuple(name for name in servers.NAMES if needed[name])


def secret_key(environment: Environment, state: State) -> str:
    """Return the SECRET_KEY: the environment's, or one that is made once and kept."""
    return environment.secret_key.get_secret_value() if environment.secret_key else state.secret("django")


def demo_link(environment: Environment, state: State, site: str) -> str | None:
    """Return the one-click sign-in link, None where the environment switches the demo off."""
    switched_off = "demo" in environment.model_fields_set and not environment.demo
    return None if switched_off else demo.link(site, secret_key(environment, state))


def _web(env: dict[str, str], port: int) -> Program:
    # A burst of visitors overflows Twisted's default backlog of 50. Verbosity 0: no line for each request.
    endpoint = f"tcp:port={port}:interface={ports.HOST}:backlog=1024"
    return _program(
        *("web", env, "-m", "config.serving", "-v", "0", "-e", endpoint),
        *("--application-close-timeout", str(_APPLICATION_CLOSE_SECONDS), "config.asgi:application"),
        port=port,
    )


def _program(name: str, env: dict[str, str], *arguments: str, port: int | None = None) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, *arguments),
        cwd=BASE_DIR,
        env=env,
        ready=partial(answers_http, port, "/healthz") if port else None,
        ready_timeout=60,
        grace=_GRACE,
    )
