"""An application that says how its server is tuned, and sends what it is asked for."""

import asyncio
import gc
import json
import threading
from typing import Any

from asgiref.sync import sync_to_async

from config.serving import at_once


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer HTTP with facts or not at all, and a WebSocket's list of sizes with texts of these sizes in bytes.

    At "/at-once" texts are sent so, as far as there is room; in the end the socket is told how many had to wait.
    """
    if scope["type"] == "http" and scope["path"] == "/hangs":
        # As a request does whose database has frozen: its thread waits, and a cancellation waits for the thread.
        print("hangs", flush=True)
        await sync_to_async(threading.Event().wait)()
    if scope["type"] == "http":
        loop = type(asyncio.get_running_loop())
        facts = {"loop": loop.__module__, "garbage": gc.get_threshold()[0], "frozen": gc.get_freeze_count()}
        facts["body"] = await _length_of_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(facts).encode()})
        return
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    send_at_once = at_once.offered(scope) if scope["path"] == "/at-once" else None
    while (message := await receive())["type"] == "websocket.receive":
        waited = 0
        for number, size in enumerate(json.loads(message["text"])):
            if size < 0:
                await send({"type": "websocket.send", "bytes": bytes(-size)})
            elif send_at_once is None or not send_at_once(text_of(number, size)):
                await send({"type": "websocket.send", "text": text_of(number, size)})
                waited += 1
        if send_at_once is not None:
            await send({"type": "websocket.send", "text": str(waited)})


async def _length_of_body(receive: Any) -> int:
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message["body"]), message["more_body"]
    return length


def text_of(number: int, size: int) -> str:
    """Return a text of so many bytes in UTF-8, which says its number."""
    begin = f"{number} "
    left = size - len(begin)
    return begin + "\N{LATIN SMALL LETTER E WITH ACUTE}" * (left // 2) + "." * (left % 2)
