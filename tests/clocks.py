"""Time for tests: it stands still until the test moves it."""

import asyncio
from datetime import datetime, timedelta


class StillClock:
    """A clock, and the sleep that goes with it.

    Parameters
    ----------
    now : datetime
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been moved that far."""
        until = self.now + timedelta(seconds=seconds)
        if until > self.now:
            woken = asyncio.Event()
            self._sleepers.append((until, woken))
            await woken.wait()

    async def move(self, to: datetime) -> None:
        """Move the clock, waking each sleeper at its own time, and let everybody act."""
        while True:
            await settle()
            self._sleepers = [each for each in self._sleepers if not each[1].is_set()]
            due = [until for until, _ in self._sleepers if until <= to]
            if not due:
                break
            self.now = max(self.now, min(due))
            for until, woken in self._sleepers:
                if until <= self.now:
                    woken.set()
        self.now = max(self.now, to)
        await settle()


class SkippingClock:
    """A clock that moves when somebody sleeps, and only then."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


async def settle() -> None:
    """Let every task run until it waits for something else than its turn."""
    for _ in range(20):
        await asyncio.sleep(0)
