"""Stop asking a host that keeps failing, and say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rustybt.data.errors import OutageError, RustyBTError
from rustybt.data.sources._finality import Clock, utc_now


class Circuit:
    """Opens after some outages in a row; after a rest, one request finds out how things are.

    Parameters
    ----------
    host : str
        Whom it is about, as messages name it.
    failures : int
        How many outages in a row open it.
    rest : timedelta
        How long nothing is asked then.
    clock : callable
    """

    def __init__(
        self,
        host: str,
        failures: int = 5,
        rest: timedelta = timedelta(seconds=30),
        clock: Clock = utc_now,
    ) -> None:
        self._host = host
        self._limit = failures
        self._rest = rest
        self._clock = clock
        self._failed = 0
        self._until: datetime | None = None
        self._trying = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Run one request, whose `OutageError` counts; any other answer closes the circuit.

        Raises
        ------
        OutageError
            Without a request, while the circuit is open.
        """
        self._refuse_while_open()
        try:
            yield
        except OutageError:
            self._count()
            raise
        except RustyBTError:
            self._close()
            raise
        else:
            self._close()
        finally:
            self._trying = False

    def _refuse_while_open(self) -> None:
        if self._until is None:
            return
        if self._trying or self._clock() < self._until:
            raise OutageError(
                f"{self._host} failed {self._failed} times in a row and is not asked again "
                f"before {self._until:%Y-%m-%d %H:%M:%S} UTC. Try later"
            )
        self._trying = True

    def _count(self) -> None:
        self._failed += 1
        if self._failed >= self._limit:
            self._until = self._clock() + self._rest

    def _close(self) -> None:
        self._failed, self._until = 0, None
