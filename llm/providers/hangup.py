"""Requests sessions whose calls the event loop can end.

A thread that waits for bytes cannot be cancelled, and closing a socket does not wake the thread that reads it; shutting
the socket down does (man 2 shutdown). So each call knows the connection that serves it.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# Guards which call a connection serves: connections are reused by the next call as soon as an answer has been read.
_lock = threading.Lock()
_current = threading.local()


class HungUp(ConnectionError):
    """The call was ended by its caller."""


class Call:
    """One request and its answer, made by one thread; another thread may `hang_up`."""

    def __init__(self) -> None:
        self._hung_up = False
        # Whether the connection had served another call before, and the answer is still wanted.
        self.kept = False
        self._connection: _Connection | _TLSConnection | None = None

    def begin(self) -> None:
        """Make this the call that the present thread is making."""
        _current.call = self

    def hang_up(self) -> None:
        """Close the connection, now or as soon as there is one; the thread that waits for it gets an error."""
        with _lock:
            self._hung_up = True
            self.kept = False
            connection = self._connection
            if connection is not None and connection.call is self and connection.sock is not None:
                with suppress(OSError):
                    # Not the method of the TLS socket, which would pull its state from under the reading thread.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def take(self, connection: "_Connection | _TLSConnection", *, new: bool) -> None:
        """Note the connection that serves this call; raises HungUp where that is no longer wanted."""
        with _lock:
            if self._hung_up:
                raise HungUp
            # A request is sent in two parts, and the second one finds the connection made.
            if new or self._connection is not connection:
                self.kept = not new
            self._connection = connection
            connection.call = self


class _Connection(HTTPConnection):
    call: Call | None = None

    def send(self, data: Any) -> None:
        _connect_and_take(self)
        super().send(data)


class _TLSConnection(HTTPSConnection):
    call: Call | None = None

    def send(self, data: Any) -> None:
        _connect_and_take(self)
        super().send(data)


def _connect_and_take(connection: _Connection | _TLSConnection) -> None:
    new = connection.sock is None
    if new:
        connection.connect()
    _current.call.take(connection, new=new)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """Connections that can be hung up on, with timeouts in seconds for opening one and for silence on it."""

    def __init__(self, *, connect: float, silence: float) -> None:
        self._timeout = (connect, silence)
        # A connection for each of many answers at a time, without a warning about a full pool.
        super().__init__(pool_maxsize=1000)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, of our connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools for connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request, with this adapter's timeouts; once more where a kept connection was closed (see `kept`)."""
        while True:
            try:
                return super().send(request, *args, **{**kwargs, "timeout": self._timeout})
            except requests.ConnectionError:
                if not _current.call.kept:
                    raise
