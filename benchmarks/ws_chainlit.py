"""The peer: Chainlit, which streams over Socket.IO. It is run by its own command, in an environment of its own.

It has a page, sessions and messages, and no way to resume, no budget, no log of what was said.
"""

import asyncio
import re

import chainlit


@chainlit.on_message
async def answer(message: chainlit.Message) -> None:
    """Stream the words that are asked for, each when it is due."""
    found = re.search(r"count to (\d+)", message.content)
    assert found is not None
    loop = asyncio.get_running_loop()
    begin = loop.time()
    reply = chainlit.Message(content="")
    for number in range(int(found[1])):
        await asyncio.sleep(begin + number * 0.05 - loop.time())
        await reply.stream_token(f"w{number:04} ")
    await reply.update()
