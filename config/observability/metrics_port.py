"""A port of its own for the metrics of a process that serves nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server


class CannotServe(Exception):
    """The port is taken, or the address is none of this machine."""


@contextmanager
def served(address: str, port: int) -> Iterator[None]:
    """Serve this process's metrics there meanwhile, from a thread. Raises CannotServe."""
    try:
        server, thread = start_http_server(port, address)
    except OSError as error:
        raise CannotServe(f"The metrics cannot be served on {address}:{port}: {error.strerror}.") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
