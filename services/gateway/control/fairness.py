"""A queue in which no caller waits behind another's flood: deficit round robin over the callers.

M. Shreedhar, G. Varghese: Efficient fair queueing using deficit round robin (SIGCOMM 1995). Each caller has a lane; in its turn
a lane may send as much as its credit allows, and gets `quantum` more credit each round. A lone lane is first in, first out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Item = TypeVar("Item")

OVERCOMMIT = 4
"""How many times the space that is still free one lane may hold: a lone flooder gets four fifths of the queue, and always
leaves room for a newcomer (A. Choudhury, E. Hahne: Dynamic queue length thresholds, 1998)."""


class _Lane(Generic[Item]):
    __slots__ = ("caller", "credit", "items", "weight")

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.items: deque[tuple[int, Item]] = deque()
        self.credit = 0
        self.weight = 0


class FairQueue(Generic[Item]):
    """Items with weights, in the order in which they should be served."""

    def __init__(self, quantum: int) -> None:
        self._quantum = max(1, quantum)
        self._lanes: dict[str, _Lane[Item]] = {}
        self._turns: deque[_Lane[Item]] = deque()
        self.weight = 0
        """Of everything that waits."""

    def __bool__(self) -> bool:
        return bool(self._turns)

    def __len__(self) -> int:
        return sum(len(lane.items) for lane in self._turns)

    def __iter__(self) -> Iterator[Item]:
        return (item for lane in self._turns for _, item in lane.items)

    def has_room(self, caller: str, weight: int, most: int) -> bool:
        """Whether `weight` more of `caller` fits into a queue of `most`. Who is not told apart may fill it; a caller
        with a name may not.
        """
        free = most - self.weight
        if self.weight + weight <= free or not self._turns:
            return True  # whoever else waits
        if weight > free:
            return False
        if not caller:
            return True
        lane = self._lanes.get(caller)
        return lane is None or lane.weight + weight <= OVERCOMMIT * free

    def count(self, caller: str) -> int:
        """Items of `caller` that wait."""
        lane = self._lanes.get(caller)
        return len(lane.items) if lane else 0

    def push(self, caller: str, weight: int, item: Item) -> None:
        """Add `item` behind everything else of `caller`."""
        lane = self._lanes.get(caller)
        if lane is None:
            lane = self._lanes[caller] = _Lane(caller)
            self._turns.append(lane)
        lane.items.append((weight, item))
        lane.weight += weight
        self.weight += weight

    def next_weight(self) -> int:
        """Weight of the item that `pop` gives next; the queue must not be empty."""
        turns = self._turns
        lane = turns[0]
        if len(turns) > 1:
            while lane.credit < lane.items[0][0]:
                lane.credit += self._quantum
                turns.rotate(-1)
                lane = turns[0]
        return lane.items[0][0]

    def pop(self) -> Item:
        """Take the next item out."""
        weight = self.next_weight()
        lane = self._turns[0]
        item = lane.items.popleft()[1]
        if len(self._turns) > 1:
            lane.credit -= weight
        lane.weight -= weight
        self.weight -= weight
        if not lane.items:
            self._turns.popleft()
            del self._lanes[lane.caller]
        return item

    def keep(self, wanted: Callable[[Item], bool]) -> None:
        """Drop every item that is not `wanted`."""
        for lane in tuple(self._turns):
            lane.items = deque(one for one in lane.items if wanted(one[1]))
            lane.weight = sum(weight for weight, _ in lane.items)
            if not lane.items:
                del self._lanes[lane.caller]
        self._turns = deque(lane for lane in self._turns if lane.items)
        self.weight = sum(lane.weight for lane in self._turns)

    def clear(self) -> None:
        """Drop everything."""
        self._lanes.clear()
        self._turns.clear()
        self.weight = 0
