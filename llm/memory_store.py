"""Where the memory of a conversation is kept, for all processes.

Each conversation is one hash in Redis, in which turns are fields: their content as long as they are told word for word,
and an empty text once they are in the notes, so that they are not taken for new ones. Every change is one script.
"""

import json
import uuid
from collections.abc import Iterable, Sequence

from llm.memory import MAX_TURNS, Memory, Turn
from llm.shared_state import SHARED, Script, Shared

# Seconds from the last turn; afterwards the conversation is loaded from rows, if it goes on at all.
TIME_TO_LIVE = 24 * 60 * 60

_NOTES = "notes"
_TURN = "turn:"

_READ = Script("return redis.call('HGETALL', KEYS[1])")

_REMEMBER = """
local function remember(first)
  for i = first, #ARGV, 2 do
    if redis.call('HGET', KEYS[1], ARGV[i]) ~= '' then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  end
  local turns = redis.call('HKEYS', KEYS[1])
  for i = #turns, 1, -1 do if string.sub(turns[i], 1, 5) ~= 'turn:' then table.remove(turns, i) end end
  table.sort(turns)
  for i = 1, #turns - ARGV[2] do redis.call('HDEL', KEYS[1], turns[i]) end
  redis.call('EXPIRE', KEYS[1], ARGV[1])
  return redis.call('HGETALL', KEYS[1])
end
"""

# Arguments: seconds to live, turns to keep, and new turns as pairs of field and content. Returns nothing where there is
# no such conversation.
_ADD = Script(_REMEMBER + "if redis.call('EXISTS', KEYS[1]) == 0 then return {} end return remember(3)")

# Arguments: seconds to live, turns to keep, notes and number of older turns (both for a conversation that is not
# there), and turns as such pairs: the older ones, the new ones.
_ADD_WITH_OLDER = Script(
    _REMEMBER
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return remember(5 + 2 * ARGV[4]) end
redis.call('HSET', KEYS[1], 'notes', ARGV[3])
return remember(5)
"""
)

# Returns the conversation to who may sum it up now, and nothing to others.
_BEGIN_SUMMARY = Script(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {} end
return redis.call('HGETALL', KEYS[1])
"""
)

# Takes notes only from who may make them, and not of a conversation that has expired meanwhile.
_TAKE_NOTES = Script(
    """
if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('EXISTS', KEYS[1]) == 0 then return {} end
redis.call('HSET', KEYS[1], 'notes', ARGV[3])
for i = 4, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], '') end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return redis.call('HGETALL', KEYS[1])
"""
)

_END_SUMMARY = Script("if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end")

# Leaves an empty conversation: who still has it in memory must not bring it back.
_FORGET = Script(
    """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'notes', '')
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
)


class Store:
    """The memory of one conversation. Everything raises Away where Redis cannot be reached."""

    def __init__(self, name: str, shared: Shared = SHARED) -> None:
        self._shared = shared
        self._keys = [f"llm:memory:{{{name}}}", f"llm:memory:{{{name}}}:summing-up"]

    async def read(self) -> Memory | None:
        """Return what is remembered, None where the conversation is not known."""
        return await self._run(_READ)

    async def add(self, new: Sequence[Turn], known: Memory) -> Memory:
        """Remember turns, and return what is remembered then.

        `known` is what its conversation is known to be beside them; it counts where there is nothing here any more.
        """
        older = [turn for turn in known.turns if turn not in new]
        found: Memory | None = None
        if older or known.notes:
            # All of it is said only where it has expired meanwhile.
            found = await self._run(_ADD, TIME_TO_LIVE, MAX_TURNS, *_encode(new))
        if found is None:
            turns = _encode([*older, *new])
            found = await self._run(_ADD_WITH_OLDER, TIME_TO_LIVE, MAX_TURNS, known.notes, len(older), *turns)
        assert found is not None
        return found

    async def begin_summary(self, token: str, seconds: float) -> Memory | None:
        """Return what is remembered to the only one who may sum it up; after that time without notes others may."""
        return await self._run(_BEGIN_SUMMARY, token, round(seconds * 1000))

    async def take_notes(self, token: str, seconds: float, notes: str, turns: Iterable[Turn]) -> Memory | None:
        """Put notes in the place of the notes so far and of these turns, and return what is remembered then.

        None where the notes are void: others may make them now, or the conversation was forgotten or has expired.
        """
        return await self._run(_TAKE_NOTES, token, round(seconds * 1000), notes, *(_TURN + turn.id for turn in turns))

    async def end_summary(self, token: str) -> None:
        """Let others sum up."""
        await self._run(_END_SUMMARY, token)

    async def forget(self) -> None:
        """Delete what is remembered, so that it does not come back from the memory of a process."""
        await self._run(_FORGET, TIME_TO_LIVE)

    async def _run(self, script: Script, *arguments: str | int) -> Memory | None:
        state = await self._shared.run(script, self._keys, arguments)
        return _decode(state) if state else None


def new_token() -> str:
    """Return what tells one who sums up from another."""
    return uuid.uuid4().hex


def _encode(turns: Iterable[Turn]) -> list[str]:
    # With its tokens: who reads a long conversation need not count them for every question.
    contents = ((turn.id, [turn.question, turn.answer, turn.tokens]) for turn in turns)
    pairs = ((_TURN + turn_id, json.dumps(content, ensure_ascii=False)) for turn_id, content in contents)
    return [part for pair in pairs for part in pair]


def _decode(state: Sequence[bytes]) -> Memory:
    fields = {name.decode(): content.decode() for name, content in zip(state[::2], state[1::2], strict=True)}
    notes = fields.pop(_NOTES, "")
    turns = (Turn(name.removeprefix(_TURN), *json.loads(content)) for name, content in fields.items() if content)
    return Memory(notes).with_turns(turns)
