"""`python -m config.serving`."""

from config.serving.server import CommandLine

CommandLine.entrypoint()
