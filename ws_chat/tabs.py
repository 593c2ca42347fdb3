"""The open pages of each visitor: all of them show each run, whichever asked, in whatever process that was."""

import asyncio
from typing import Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from config.background import Background
from ws_chat.records import Asked
from ws_chat.register import register


class Tab(Protocol):
    """A page's connection."""

    def show(self, run: UUID, asked: Asked | None) -> None:
        """Begin to show a run that is not shown yet; where it is None what was asked is to be looked up."""

    def begin_anew(self, after: UUID) -> None:
        """Show no turn any more but those after this id; told twice, it is the same."""


class Tabs:
    """The pages that are connected to this process."""

    def __init__(self) -> None:
        self._open: dict[UUID, set[Tab]] = {}
        self._background = Background("tabs")

    @property
    def visitors(self) -> list[UUID]:
        """Whose pages are open."""
        return list(self._open)

    def join(self, visitor: UUID, tab: Tab) -> None:
        """Add a page; it is shown what begins from now on."""
        self._open.setdefault(visitor, set()).add(tab)
        self._background.keep_up("listen", self._listen)

    def leave(self, visitor: UUID, tab: Tab) -> None:
        """Remove a page, if it is there."""
        pages = self._open.get(visitor, set())
        pages.discard(tab)
        if not pages:
            self._open.pop(visitor, None)

    def show(self, visitor: UUID, run: UUID, asked: Asked | None = None) -> None:
        """Show a run in all of a visitor's pages."""
        for tab in list(self._open.get(visitor, ())):
            tab.show(run, asked)

    def begin_anew(self, visitor: UUID, after: UUID) -> None:
        """Begin the conversation anew in all of a visitor's pages."""
        for tab in list(self._open.get(visitor, ())):
            tab.begin_anew(after)

    async def aclose(self) -> None:
        """End the work in the background."""
        await self._background.aclose()

    async def _listen(self) -> None:
        await register().listen(self.show, self.begin_anew, lambda: self.visitors)


_all: WeakKeyDictionary[asyncio.AbstractEventLoop, Tabs] = WeakKeyDictionary()


def tabs() -> Tabs:
    """Return the pages that are connected to the running event loop."""
    return _all.setdefault(asyncio.get_running_loop(), Tabs())
