"""When to go again, where a go costs about as much for dozens of items as for one.

Who is alone waits for nobody. With little to do, goes follow each other as fast as they share anything; with much to do
less often, because then it is the cost of each that makes everybody wait.
"""

import asyncio
import math

# Seconds from the beginning of a go to the next one, with little to do and with much.
_SHORT, _LONG = 0.005, 0.03
# Items per second from which on there is much to do, and the seconds over which they are counted.
_MUCH = 100.0
_COUNTED_OVER = 0.5


class Pace:
    """The pace of one who goes again and again. Moments are seconds, of one clock."""

    def __init__(self) -> None:
        self._begun_at = float("-inf")
        # Items per second when the last go began; of earlier goes they count less.
        self._rate = 0.0

    @property
    def next_at(self) -> float:
        """The moment from which on the next go may begin."""
        return self._begun_at + (_LONG if self._rate > _MUCH else _SHORT)

    def begin(self, items: int, now: float) -> None:
        """Note that a go for so many items begins now."""
        self._rate = self._rate * math.exp((self._begun_at - now) / _COUNTED_OVER) + items / _COUNTED_OVER
        self._begun_at = now

    async def wait(self) -> None:
        """Return when the next go may begin, by the clock of the event loop."""
        await asyncio.sleep(self.next_at - asyncio.get_running_loop().time())
