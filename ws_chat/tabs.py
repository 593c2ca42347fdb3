"""The open pages of each visitor: all of them show each run, whichever asked, in whatever process that was."""

import asyncio
from typing import Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from config.background import Background, Work
from ws_chat.register import register


class Tab(Protocol):
    """A page's connection."""

    def show(self, run: UUID, question: str | None) -> None:
        """Begin to show a run that is not shown yet; where the question is None it is to be looked up."""


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

    def show(self, visitor: UUID, run: UUID, question: str | None = None) -> None:
        """Show a run in all of a visitor's pages."""
        for tab in list(self._open.get(visitor, ())):
            tab.show(run, question)

    def keep_up(self, name: str, work: Work) -> None:
        """Run work in the background, once at a time; it ends by itself where no page is open any more."""
        self._background.keep_up(name, work)

    async def aclose(self) -> None:
        """End the work in the background."""
        await self._background.aclose()

    async def _listen(self) -> None:
        await register().listen(self.show, lambda: self.visitors)


_all: WeakKeyDictionary[asyncio.AbstractEventLoop, Tabs] = WeakKeyDictionary()


def tabs() -> Tabs:
    """Return the pages that are connected to the running event loop."""
    return _all.setdefault(asyncio.get_running_loop(), Tabs())
