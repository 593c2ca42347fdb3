"""Conversations as a process has them open: what the model is reminded of, in memory and shared with other processes.

Where Redis knows nothing of a conversation, its app loads it from its rows. Where Redis is away, conversations go on
with what is in memory, and nothing is summed up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog
from django.conf import settings

from llm import memory, persona, registry
from llm.errors import BrokenAnswer, LLMError
from llm.memory import MAX_TURNS, Memory, Turn
from llm.memory_store import Store, new_token
from llm.shared_state import Away
from llm.types import Message

log = structlog.get_logger(__name__)

Load: TypeAlias = Callable[[], Awaitable[Sequence[Turn]]]

# Seconds that a question waits at most for what was said before it.
PATIENCE = 2.0
# Summaries made at once by a process. Who comes too late tries again after the next turn.
MAX_SUMMARIES = 4
# Seconds that summaries under way have when their process is told to stop.
DRAIN_SECONDS = 2.0
# Conversations that wait in memory for Redis to come back.
_MAX_UNSAVED = 1000
# Seconds that one who sums up may be silent beyond the model's own deadline.
_SPARE = 10


class Conversation:
    """One conversation: what is known of it here, and the turns that Redis does not have yet.

    `prompt` and `add` are immediate. Nothing here raises where a server is away.
    """

    def __init__(self, name: str, load: Load, store: Store | None = None) -> None:
        self.name = name
        self._load = load
        self._store = store or Store(name)
        self._memory = Memory()
        self._unsaved: tuple[Turn, ...] = ()
        # Whether what was said before this object was made is in it.
        self._complete = False
        self._lock = asyncio.Lock()

    @property
    def memory(self) -> Memory:
        """What is known now."""
        return self._memory

    def begin(self) -> None:
        """Learn from the app that nothing was said so far, so that nobody need be asked for it."""
        self._complete = True

    async def refresh(self) -> None:
        """Learn what was said so far, also in other processes: one round trip, and the app's rows where it failed."""
        async with self._lock:
            await self._refresh()

    def prompt(self, question: str, turn_id: str = "") -> tuple[Message, ...]:
        """Return what to send to the model for a question; an answer that its own turn had before does not count."""
        known = self._memory.without(turn_id)
        return memory.prompt(known, question, persona=persona.current(), budget=settings.LLM_MEMORY_TOKENS)

    def add(self, turn: Turn) -> None:
        """Remember a turn, for now in this process only; `save` is for the others.

        A second answer to a question takes the place of the first.
        """
        if turn.answer.strip():
            turn = turn.within(settings.LLM_MEMORY_TOKENS)
            self._unsaved = (*self._unsaved, turn)[-MAX_TURNS:]
            self._memory = self._memory.with_turns([turn])

    async def save(self) -> None:
        """Tell the other processes of the turns since, and have old ones summed up in the background if it is time."""
        async with self._lock:
            saved = await self._save()
        _local().keep(self, waiting=not saved)
        if saved and memory.due(self._memory, settings.LLM_MEMORY_TOKENS):
            _local().start(self)

    async def sum_up(self) -> None:
        """Bring what is due into the notes, unless somebody else is about it. Fails without consequences."""
        token, seconds = new_token(), settings.LLM_ANSWER_SECONDS + _SPARE
        try:
            known = await self._store.begin_summary(token, seconds)
            if known is None:
                return
            try:
                while known and (turns := memory.due(known, settings.LLM_MEMORY_TOKENS)):
                    notes = await _notes(known, turns)
                    async with self._lock:
                        known = await self._store.take_notes(token, seconds, notes, turns)
                        self._learn(known)
            finally:
                await self._store.end_summary(token)
        except LLMError as error:
            log.warning("notes failed, the next turn tries again", conversation=self.name, error=str(error))
        except Away:
            log.info("notes given up, Redis is away", conversation=self.name)
        except Exception as error:
            # Its message might quote the conversation.
            log.error("notes failed unexpectedly", conversation=self.name, error=type(error).__name__)

    async def forget(self) -> None:
        """Delete what is remembered, here and for all processes. Raises Away where Redis cannot be reached."""
        async with self._lock:
            self._memory, self._unsaved, self._complete = Memory(), (), True
            await self._store.forget()

    async def _refresh(self) -> None:
        try:
            known = await self._store.read()
        except Away:
            known = None
        if known is not None:
            self._complete = True
            self._learn(known)
        elif not self._complete:
            await self._load_rows()

    async def _load_rows(self) -> None:
        try:
            turns = await self._load()
        except Exception as error:
            log.warning("an earlier conversation is missing", conversation=self.name, error=type(error).__name__)
            return
        self._complete = True
        # Reading many long texts is not for the event loop.
        self._learn(await asyncio.to_thread(_memory_of, turns, settings.LLM_MEMORY_TOKENS))

    async def _save(self) -> bool:
        """Return whether Redis has everything that is known here."""
        new = self._unsaved
        if not new:
            return True
        if not self._complete:
            await self._refresh()
        if not self._complete:
            # What is incomplete must not be taken for the whole conversation by others.
            return False
        try:
            known = await self._store.add(new, self._memory)
        except Away:
            return False
        self._unsaved = tuple(turn for turn in self._unsaved if turn not in new)
        self._learn(known)
        return True

    def _learn(self, known: Memory | None) -> None:
        if known is not None:
            self._memory = known.with_turns(self._unsaved)


class _Local:
    """The conversations of one event loop, and what it does for them in the background."""

    def __init__(self) -> None:
        self.open: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._waiting: dict[str, Conversation] = {}
        self._summaries: dict[str, asyncio.Task[None]] = {}

    def keep(self, conversation: Conversation, *, waiting: bool) -> None:
        """Hold a conversation in memory whose turns are nowhere else, or let it go."""
        self._waiting.pop(conversation.name, None)
        if waiting:
            self._waiting[conversation.name] = conversation
            if len(self._waiting) > _MAX_UNSAVED:
                del self._waiting[next(iter(self._waiting))]

    def start(self, conversation: Conversation) -> None:
        """Sum a conversation up in the background, if there is room for that."""
        name = conversation.name
        if name not in self._summaries and len(self._summaries) < MAX_SUMMARIES:
            self._summaries[name] = asyncio.create_task(conversation.sum_up())
            self._summaries[name].add_done_callback(lambda _: self._summaries.pop(name))

    async def aclose(self, seconds: float) -> None:
        """Wait that long for the summaries under way, and give up those that are not done then."""
        if summaries := set(self._summaries.values()):
            _, late = await asyncio.wait(summaries, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._waiting.clear()


_locals: WeakKeyDictionary[asyncio.AbstractEventLoop, _Local] = WeakKeyDictionary()


def of(name: str, load: Load) -> Conversation:
    """Return the conversation of that name; all who have it open in this event loop share one object.

    `load` returns its latest turns, `MAX_TURNS` at most, from the app's rows; it is asked where Redis knows nothing.
    """
    conversations = _local().open
    conversation = conversations.get(name)
    if conversation is None:
        conversations[name] = conversation = Conversation(name, load)
    return conversation


async def notes_of(name: str) -> str:
    """Return the notes that stand for the older turns of a conversation. Raises Away where Redis cannot be reached."""
    known = await Store(name).read()
    return known.notes if known is not None else ""


async def forget(name: str) -> None:
    """Delete what is remembered of a conversation; its rows are the app's. Raises Away where Redis cannot be reached.

    Answers that other processes are making may still know it.
    """
    await (_local().open.get(name) or Conversation(name, _nothing)).forget()


async def aclose(seconds: float = DRAIN_SECONDS) -> None:
    """Wait for the summaries of this event loop, and give up late ones; the next turn of a conversation tries again."""
    if (local := _locals.pop(asyncio.get_running_loop(), None)) is not None:
        await local.aclose(seconds)


def _local() -> _Local:
    loop = asyncio.get_running_loop()
    if (local := _locals.get(loop)) is None:
        local = _locals[loop] = _Local()
    return local


def _memory_of(turns: Sequence[Turn], budget: int) -> Memory:
    return Memory().with_turns(turn.within(budget) for turn in turns if turn.answer.strip())


async def _nothing() -> Sequence[Turn]:
    return ()


async def _notes(known: Memory, turns: Sequence[Turn]) -> str:
    """Have notes made of what is known and these turns; raises LLMError."""
    budget = settings.LLM_MEMORY_TOKENS
    completion = await registry.chain("summary").complete(memory.summary_request(known, turns, budget))
    if not (notes := memory.notes_of(completion.text, budget)):
        raise BrokenAnswer("there are no notes in it", provider=completion.provider)
    return notes
