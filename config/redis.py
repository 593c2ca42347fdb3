"""The connections to Redis (or Valkey) that everything but the channel layer shares, once for each event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import redis.asyncio
import structlog
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config import loops

log = structlog.get_logger(__name__)

# Everything that uses Redis also works without it, somehow; nobody waits longer than this, in seconds, to find out.
PATIENCE = 1.0
# A burst waits for a connection rather than opening one for each of its requests.
_CONNECTIONS = 16

# Seconds until a listener tries again, at first and at most.
_AGAIN = (0.05, 2.0)
# Seconds after which a listener looks whether anybody still needs it, and for which it goes on after the last who did:
# who asks often would have it connect and subscribe anew each time, which costs more than all that it hears.
_LOOK_EVERY = 1.0
LINGER = 30.0

Redis: TypeAlias = "redis.asyncio.Redis"
Message: TypeAlias = Mapping[str, Any]
Need: TypeAlias = Callable[[], bool]

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()


def client() -> Redis:
    """Return the client of the running event loop; its connections are closed with the loop."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = connect(settings.REDIS_URL)
        loops.before_close(loop, aclose)
    return _clients[loop]


def connect(url: str) -> Redis:
    """Return a client of one's own, to be closed by the caller."""
    return redis.asyncio.Redis.from_pool(
        redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            # A connection that the server has closed in the meantime is made again once, at once.
            retry=Retry(NoBackoff(), 1),
        )
    )


def connect_to_listen(url: str) -> Redis:
    """Return a client for one subscription, to be closed by the caller.

    It waits as long as nothing is said, and a connection that is lost is said to be lost: what was published in the
    meantime would be missed.
    """
    return redis.asyncio.Redis.from_url(url, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0))


def lingering(needed: Need) -> Need:
    """Return what says whether something is needed, or was so within the last `LINGER` seconds of being asked."""
    now = asyncio.get_running_loop().time
    needed_at = now()

    def lingers() -> bool:
        nonlocal needed_at
        if needed():
            needed_at = now()
        return now() < needed_at + LINGER

    return lingers


async def listen(url: str, channel: str, hear: Callable[[Message], Awaitable[None] | None], needed: Need) -> None:
    """Call `hear` with each message of a channel, as long as it is needed and for `LINGER` seconds more.

    A connection that is lost is made again. The message of type "subscribe" comes whenever listening begins: what was
    published before it was missed.
    """
    task, lingers = asyncio.current_task(), lingering(needed)
    wait = _AGAIN[0]

    def going_on() -> bool:
        # A cancellation that was swallowed (see `config.background`) must not leave a task that lives for ever.
        return lingers() and not (task and task.cancelling())

    while going_on():
        try:
            async with connect_to_listen(url) as client, client.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                while going_on():
                    message = await pubsub.get_message(timeout=_LOOK_EVERY)
                    if message is not None and message["type"] in ("subscribe", "message"):
                        wait = _AGAIN[0]
                        if (heard := hear(message)) is not None:
                            await heard
        except RedisError as error:
            if not needed():
                return
            log.warning("nobody tells us anything, trying again", channel=channel, error=type(error).__name__)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _AGAIN[1])


async def aclose() -> None:
    """Close the connections of this event loop."""
    if (open_client := _clients.pop(asyncio.get_running_loop(), None)) is not None:
        await open_client.aclose()
