"""The network and the disk are busy at the same time, and what waits in memory is bounded."""

import asyncio
import threading

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY
from rustybt.data.bundles import _batch, _gather
from rustybt.data.sources._fetched import Delivery, Fetched
from tests.frames import sessions, walk

DAYS = sessions("2020-01-02", "2020-01-31")
SYMBOLS = [f"S{number:04}" for number in range(1200)]
ALL = walk(SYMBOLS[:1], DAYS)


def delivery(symbol):
    return Delivery((symbol,), {"1d": Fetched(walk([symbol], DAYS))}, Events())


def test_the_next_symbols_are_fetched_while_the_last_ones_are_written(tmp_path, monkeypatch):
    """The source gives its 600th symbol only after the writing of the first ones has begun, and
    that writing goes on only after the 600th: each would wait for ever if they took turns."""
    begun, asked_on = threading.Event(), threading.Event()

    class Waiting(_batch.Collector):
        def add(self, bars):
            begun.set()
            assert asked_on.wait(timeout=30)
            return super().add(bars)

    async def deliveries():
        for number, symbol in enumerate(SYMBOLS[:610]):
            if number == 600:
                assert await asyncio.to_thread(begun.wait, 30)
                asked_on.set()
            yield delivery(symbol)

    sids = {symbol: number for number, symbol in enumerate(SYMBOLS)}
    collector = Waiting(tmp_path, (DAILY,), "XNYS", "raise", sids)
    asyncio.run(_gather.gather(deliveries(), collector, SYMBOLS[:610]))
    assert collector.rows == 610 * len(DAYS)


def test_a_source_that_is_faster_than_the_disk_waits(tmp_path):
    """No more than two parts are ever between the source and the disk."""
    written, most = [0], [0]

    class Counting(_batch.Collector):
        def add(self, bars):
            refused = super().add(bars)
            written[0] += bars[DAILY]["symbol"].n_unique()
            return refused

    async def deliveries():
        for number, symbol in enumerate(SYMBOLS):
            most[0] = max(most[0], number - written[0])
            yield delivery(symbol)

    sids = {symbol: number for number, symbol in enumerate(SYMBOLS)}
    collector = Counting(tmp_path, (DAILY,), "XNYS", "raise", sids)
    asyncio.run(_gather.gather(deliveries(), collector, SYMBOLS))
    assert most[0] <= 2 * _gather._SYMBOLS
    assert collector.rows == len(SYMBOLS) * len(DAYS)
