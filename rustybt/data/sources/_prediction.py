"""What will be asked for next, from what was asked for: pure, and only when a user wants it.

A backtest or a loop over days asks for windows that move forward. After a few of them the next
fetch reaches further than it is asked to, twice as far each time, as a disk's read-ahead does.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

#: Steps forward after which a pattern is taken for one.
_STEPS = 2
#: The most that is fetched ahead, in steps.
_MOST = 512
#: Patterns that are remembered.
_PATTERNS = 256


@dataclass(frozen=True)
class Pattern:
    """How the requests for the same symbols moved.

    Attributes
    ----------
    last : int
        The last label that was asked for.
    step : int
        How far it moved, at the most, while it moved forward.
    steps : int
        How often in a row.
    """

    last: int
    step: int = 0
    steps: int = 0

    def then(self, last: int) -> "Pattern":
        """The pattern after one more request; one that moves back or stands still ends it."""
        moved = last - self.last
        if moved <= 0:
            return Pattern(last)
        return Pattern(last, max(self.step, moved), self.steps + 1)

    @property
    def ahead(self) -> int:
        """How far beyond its end the next fetch should reach."""
        if self.steps < _STEPS:
            return 0
        return int(self.step * min(2 ** (self.steps - _STEPS + 3), _MOST))


class Patterns:
    """The patterns of a source's requests."""

    def __init__(self) -> None:
        self._patterns: OrderedDict[Hashable, Pattern] = OrderedDict()

    def ahead(self, key: Hashable, last: int) -> int:
        """Note a request that ends at `last`, and say how far its fetch should reach beyond."""
        before = self._patterns.pop(key, None)
        after = Pattern(last) if before is None else before.then(last)
        self._patterns[key] = after
        if len(self._patterns) > _PATTERNS:
            self._patterns.popitem(last=False)
        return after.ahead
