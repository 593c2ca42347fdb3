"""Which offsets may be committed while many messages are in flight.

A committed offset says "everything before is done". Messages finish in any order, so what may be committed is the
highest offset below which nothing is open. Pure bookkeeping, no Kafka.
"""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Stretch:
    """A partition from its assignment on until it is given away or made anew."""

    open: set[int] = field(default_factory=set)
    next: int = 0
    committed: int = 0
    # Whether what was taken of it is somebody else's business now, or void.
    over: bool = False

    @property
    def position(self) -> int:
        """The highest offset below which nothing is open."""
        return min(self.open, default=self.next)


class Offsets:
    """The messages in flight, for each partition that is assigned."""

    def __init__(self) -> None:
        self._partitions: dict[int, Stretch] = {}

    def __len__(self) -> int:
        return sum(len(stretch.open) for stretch in self._partitions.values())

    def begin(self, partition: int, offset: int) -> Stretch:
        """A message was taken for handling; returns what it is to be finished in."""
        stretch = self._partitions.get(partition)
        if stretch is None or offset < stretch.next:
            # The first one, or the partition was made anew and its offsets begin again.
            self.forget([partition])
            stretch = self._partitions[partition] = Stretch(committed=offset)
        stretch.open.add(offset)
        stretch.next = max(stretch.next, offset + 1)
        return stretch

    def finish(self, stretch: Stretch, offset: int) -> None:
        """A message is done; in a stretch that is over that is nobody's business any more."""
        stretch.open.discard(offset)

    def due(self) -> dict[int, int]:
        """Return what should be committed: partition to the next offset to read."""
        return {
            number: position
            for number, stretch in self._partitions.items()
            if (position := stretch.position) > stretch.committed
        }

    def committed(self, positions: dict[int, int]) -> None:
        """These positions have been committed."""
        for number, position in positions.items():
            if number in self._partitions:
                self._partitions[number].committed = position

    def forget(self, partitions: list[int]) -> None:
        """These partitions were given away."""
        for number in partitions:
            if (stretch := self._partitions.pop(number, None)) is not None:
                stretch.over = True

    def forget_all(self) -> None:
        """All partitions were lost."""
        self.forget(list(self._partitions))
