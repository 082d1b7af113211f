"""What a stream has for its consumer: bounded, whatever the consumer does."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rustybt.data.bars import Bar

if TYPE_CHECKING:
    from rustybt.data.sources._stream_grid import Label

#: Final bars that wait for the consumer, before the stream hangs up until they are taken.
WAITING = 10_000


class Outbox:
    """What waits for the consumer: each final bar, and of a forming one its newest state."""

    def __init__(self) -> None:
        self._final: deque[Bar] = deque()
        self._forming: dict[tuple[str, Label], Bar] = {}
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __bool__(self) -> bool:
        return bool(self._final or self._forming)

    @property
    def full(self) -> bool:
        """Whether too many final bars wait."""
        return not self._room.is_set()

    def put(self, bars: Sequence[Bar]) -> None:
        """Take in bars: a final one takes the place of its forming states."""
        for bar in bars:
            key = (bar.symbol, bar.timestamp)
            if bar.final:
                self._forming.pop(key, None)
                self._final.append(bar)
            else:
                self._forming[key] = bar
        if bars:
            self._filled.set()
        if len(self._final) >= WAITING:
            self._room.clear()

    def pop(self) -> Bar:
        """What is to be given next: final bars before forming ones."""
        if not self._final:
            return self._forming.pop(next(iter(self._forming)))
        bar = self._final.popleft()
        if len(self._final) <= WAITING // 2:
            self._room.set()
        return bar

    async def filled(self, unless: "asyncio.Task[None]") -> None:
        """Wait until there is something, or until a task has ended."""
        self._filled.clear()
        waiting = asyncio.create_task(self._filled.wait())
        try:
            await asyncio.wait({waiting, unless}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def room(self) -> None:
        """Wait until the consumer has taken enough."""
        await self._room.wait()
