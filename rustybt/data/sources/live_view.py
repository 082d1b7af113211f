"""The newest bar of each symbol, kept current by a stream in the background."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from rustybt.data.bars import Bar
from rustybt.data.errors import RustyBTError
from rustybt.data.sources._stream import hang_up, status_of
from rustybt.data.sources.base import DataSource

#: Seconds that a symbol has, when it is asked for the first time, to show a bar.
PATIENCE = 5.0


class LiveView:
    """What a live source shows right now; asking it costs no request.

    Parameters
    ----------
    source : DataSource
        One that `supports_live`.
    frequency : str

    Notes
    -----
    One stream serves all symbols that were ever asked for. It lives in the event loop that asks;
    `aclose` ends it.
    """

    def __init__(self, source: DataSource, frequency: str) -> None:
        self._source = source
        self._frequency = frequency
        self._symbols: set[str] = set()
        self._newest: dict[str, Bar] = {}
        self._changed = asyncio.Event()
        self._stream: AsyncIterator[Bar] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """Whether the provider is connected, so that what is shown is not merely old."""
        status = status_of(self._stream) if self._stream is not None else None
        is_watching = self._watching is not None and not self._watching.done()
        return is_watching and (status is None or status.connected)

    async def newest(self, symbols: Iterable[str]) -> dict[str, Bar]:
        """The newest bar of each symbol that has shown one, forming or final.

        Raises
        ------
        RustyBTError
            What ended the stream.
        """
        wanted = set(symbols)
        unseen = wanted - self._symbols
        if unseen or not self._is_watching():
            await self._watch(wanted | self._symbols)
            await self._first_sight(wanted - set(self._newest))
        self._require_watching()
        return {symbol: self._newest[symbol] for symbol in wanted & set(self._newest)}

    async def aclose(self) -> None:
        """Hang up."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    def _is_watching(self) -> bool:
        """Whether the stream belongs to this event loop."""
        task = self._watching
        return task is not None and task.get_loop() is asyncio.get_running_loop()

    async def _watch(self, symbols: set[str]) -> None:
        if self._is_watching():
            await self.aclose()
        else:
            self._newest = {}
        self._symbols = symbols
        self._changed = asyncio.Event()
        stream = self._source.stream(sorted(symbols), self._frequency)
        self._watching = asyncio.create_task(self._keep(stream), name="rustybt-live-view")

    async def _keep(self, stream: AsyncIterator[Bar]) -> None:
        self._stream = stream
        try:
            async for bar in stream:
                known = self._newest.get(bar.symbol)
                if known is None or bar.timestamp >= known.timestamp:
                    self._newest[bar.symbol] = bar
                    self._changed.set()
        finally:
            await hang_up(stream)

    async def _first_sight(self, symbols: set[str]) -> None:
        """Wait for the first bar of symbols, within patience."""
        watching = self._watching
        try:
            async with asyncio.timeout(PATIENCE):
                while watching and not watching.done() and not symbols <= set(self._newest):
                    self._changed.clear()
                    changed = asyncio.create_task(self._changed.wait())
                    await asyncio.wait({changed, watching}, return_when="FIRST_COMPLETED")
                    changed.cancel()
        except TimeoutError:
            return

    def _require_watching(self) -> None:
        task = self._watching
        if task is not None and task.done() and not task.cancelled():
            error = task.exception()
            if isinstance(error, RustyBTError):
                raise error
