"""Which offsets may be committed while many messages are in flight.

A committed offset says "everything before is done". Messages finish in any order, so what may be committed is the
highest offset below which nothing is open. Pure bookkeeping, no Kafka.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Partition:
    open: set[int] = field(default_factory=set)
    next: int = 0
    committed: int = 0

    @property
    def position(self) -> int:
        return min(self.open, default=self.next)


class Offsets:
    """The messages in flight, for each partition that is assigned."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def __len__(self) -> int:
        return sum(len(partition.open) for partition in self._partitions.values())

    def begin(self, partition: int, offset: int) -> None:
        """A message was taken for handling."""
        state = self._partitions.get(partition)
        if state is None or offset < state.next:
            # The first one, or the partition was made anew and its offsets begin again.
            state = self._partitions[partition] = _Partition(committed=offset)
        state.open.add(offset)
        state.next = max(state.next, offset + 1)

    def finish(self, partition: int, offset: int) -> None:
        """A message is done; one of a partition that was given away is nobody's business any more."""
        if partition in self._partitions:
            self._partitions[partition].open.discard(offset)

    def due(self) -> dict[int, int]:
        """Return what should be committed: partition to the next offset to read."""
        return {
            number: state.position for number, state in self._partitions.items() if state.position > state.committed
        }

    def committed(self, positions: dict[int, int]) -> None:
        """These positions have been committed."""
        for number, position in positions.items():
            if number in self._partitions:
                self._partitions[number].committed = position

    def forget(self, partitions: list[int]) -> None:
        """These partitions were given away."""
        for number in partitions:
            self._partitions.pop(number, None)
