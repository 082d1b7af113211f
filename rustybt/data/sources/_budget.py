"""A budget of requests per provider, shared by all processes of a user.

The state is a SQLite file in the user's cache directory: what was taken, when, and until when the
provider asked for a pause. A process that is killed leaves no lock behind.

A provider counts a request when it arrives, which is between the moment that it was taken from
the budget and the first byte of the answer. Until `Budget.settle` says that the answer has begun,
a request counts as one still to come, for `_ON_ITS_WAY` seconds at most (a process may have been
killed), and from then on as one that came at that moment. So no window on the provider's side
holds more than its rate, whatever the network and the processes' turns do to the order.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from platformdirs import user_cache_path

from rustybt.data.errors import RateLimitError, SourceError
from rustybt.data.sources._finality import Clock, utc_now

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS takes (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, cost REAL NOT NULL, keep REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pauses (since REAL NOT NULL, until REAL NOT NULL) STRICT;
"""
#: Seconds to wait for another process to finish its transaction, which takes less than one.
_BUSY = 30.0
#: Seconds that a request which was never settled counts for longer than it should.
_ON_ITS_WAY = 5.0
#: Seconds after which a provider is asked again, whatever it said.
_LONGEST_PAUSE = 86_400.0
#: What SQLite reports of a file that is not, or no longer, a budget.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


@dataclass(frozen=True)
class Rate:
    """At most `count` requests (or units of cost) in any `seconds`."""

    count: float
    seconds: float


class Budget:
    """What a provider allows, counted over all processes of a user.

    Parameters
    ----------
    name : str
        The provider.
    rates : sequence of Rate
        All of them hold at once; none means that only pauses are shared.
    credential : str
        Whose budget it is, where each key has one; only a digest of it is kept.
    directory : pathlib.Path, optional
        Where the state is kept; by default the user's cache directory.
    patience : float
        Seconds that `take` is willing to wait.
    clock : callable
        Tells the machine's time, which all processes share.
    sleep : callable
        Waits for a number of seconds.
    """

    def __init__(
        self,
        name: str,
        rates: Sequence[Rate] = (),
        *,
        credential: str = "",
        directory: Path | None = None,
        patience: float = 90.0,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        digest = hashlib.sha256(credential.encode()).hexdigest()[:16]
        self.name = name
        self.rates = tuple(rates)
        self.patience = patience
        self.path = (directory or default_directory()) / f"{name}-{digest}.sqlite"
        self._clock = clock
        self._sleep = sleep

    async def take(self, cost: float = 1.0) -> int:
        """Wait until the provider may be asked, and count it.

        Returns
        -------
        int
            A receipt for `settle`.

        Raises
        ------
        RateLimitError
            If that would take longer than `patience`.
        """
        if not (self.rates or self.path.exists()):
            return 0  # nothing limits it, and nobody was ever asked to pause
        while True:
            receipt, wait = await asyncio.to_thread(self._transact, self._taking(cost))
            if wait <= 0:
                return receipt
            if wait > self.patience:
                raise self._too_long(wait)
            await self._sleep(wait)

    async def settle(self, receipt: int) -> None:
        """Say that the answer to a request has begun to arrive."""
        if self.rates:
            await asyncio.to_thread(self._transact, _settling(receipt))

    async def pause(self, seconds: float) -> None:
        """Make all processes wait, as the provider asked for; a day at most."""
        await asyncio.to_thread(self._transact, _pausing(min(seconds, _LONGEST_PAUSE)))

    def _too_long(self, wait: float) -> RateLimitError:
        until = self._clock() + timedelta(seconds=wait)
        return RateLimitError(
            f"{self.name} may not be asked again before {until:%Y-%m-%d %H:%M:%S} UTC, in "
            f"{wait:.0f} s: the rate it allows is used up. Ask later, or for less",
            retry_after=wait,
        )

    def _taking(self, cost: float) -> "Work[tuple[int, float]]":
        keep = max((rate.seconds for rate in self.rates), default=0.0)

        def work(state: sqlite3.Connection, now: float) -> tuple[int, float]:
            waits = [_wait_for(state, rate, cost, now) for rate in self.rates]
            wait = max([_pause_left(state, now), *waits])
            if wait > 0 or not self.rates:
                return 0, wait
            state.execute("DELETE FROM takes WHERE at + keep <= ?", (now,))
            row = "INSERT INTO takes (at, cost, keep) VALUES (?, ?, ?)"
            return state.execute(row, (now + _ON_ITS_WAY, cost, keep)).lastrowid or 0, 0.0

        return work

    def _transact(self, work: "Work[T]") -> T:
        try:
            return self._transact_once(work)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGE:
                raise self._unusable(error) from error
        with FileLock(f"{self.path}.lock"):
            try:
                return self._transact_once(work)  # another process may have replaced it
            except sqlite3.DatabaseError:
                self._start_afresh()
            return self._transact_once(work)

    def _transact_once(self, work: "Work[T]") -> T:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        with closing(sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)) as state:
            # A power cut may lose what was taken, and with it at most one window's worth.
            state.execute("PRAGMA synchronous = OFF")
            state.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";"):
                state.execute(statement)
            now = self._clock().timestamp()
            _own_clock_jumps(state, now)
            result = work(state, now)
            state.execute("COMMIT")
            return result

    def _start_afresh(self) -> None:
        """Replace a damaged state; what was taken is unknown, so the shortest window passes."""
        Path(f"{self.path}-journal").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self._transact_once(_pausing(min((rate.seconds for rate in self.rates), default=0.0)))

    def _unusable(self, error: Exception) -> SourceError:
        return SourceError(
            f"the request budget of {self.name} cannot be kept in {self.path}: {error}. "
            "Make the folder writable, or choose another one"
        )


#: What is done with the state, and with the time, in one transaction.
Work = Callable[[sqlite3.Connection, float], T]


def default_directory() -> Path:
    """Where budgets are kept unless told otherwise."""
    return user_cache_path("rustybt") / "budgets"


def _wait_for(state: sqlite3.Connection, rate: Rate, cost: float, now: float) -> float:
    """Seconds until a rate has room for `cost`."""
    inside = (now - rate.seconds,)
    (used,) = state.execute("SELECT total(cost) FROM takes WHERE at > ?", inside).fetchone()
    excess, wait = used + cost - rate.count, 0.0
    if excess <= 0:
        return wait
    for at, freed in state.execute("SELECT at, cost FROM takes WHERE at > ? ORDER BY at", inside):
        excess, wait = excess - freed, at + rate.seconds - now
        if excess <= 0:
            break
    return wait


def _pause_left(state: sqlite3.Connection, now: float) -> float:
    (until,) = state.execute("SELECT max(until) FROM pauses").fetchone()
    return max(0.0, (until or now) - now)


def _pausing(seconds: float) -> Work[None]:
    def work(state: sqlite3.Connection, now: float) -> None:
        state.execute("DELETE FROM pauses WHERE until <= ?", (now,))
        state.execute("INSERT INTO pauses VALUES (?, ?)", (now, now + seconds))

    return work


def _settling(receipt: int) -> Work[None]:
    def work(state: sqlite3.Connection, now: float) -> None:
        state.execute("UPDATE takes SET at = ? WHERE id = ?", (now, receipt))

    return work


def _own_clock_jumps(state: sqlite3.Connection, now: float) -> None:
    """Nothing was taken in the future: where the clock went back, it was taken now."""
    state.execute("UPDATE takes SET at = ?1 WHERE at > ?1 + ?2", (now, _ON_ITS_WAY))
    moved = "UPDATE pauses SET until = until - since + ?1, since = ?1 WHERE since > ?1"
    state.execute(moved, (now,))
