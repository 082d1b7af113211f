"""``rustybt stream``, with a source that pushes a few bars and then waits."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from click.testing import Result

from rustybt.data.bars import MINUTE, Bar, empty_bars
from rustybt.data.bundles.bundle import open_bundle
from rustybt.data.bundles.journal import Head, open_journal
from rustybt.data.errors import AuthenticationError
from rustybt.data.sources._stream import BarStream, Feed, Rules, Update
from rustybt.data.sources.registry import DataSourceRegistry
from tests.cli.helpers import Invoke
from tests.fakes import FrameSource

RULES = Rules(lag=timedelta(hours=1), published=timedelta(hours=1))


class Pushing(FrameSource):
    """A source that pushes three bars of two symbols, of the minutes to come.

    Parameters
    ----------
    ends : bool
        Whether the provider then withdraws the credentials.
    """

    def __init__(self, ends: bool = False) -> None:
        super().__init__(empty_bars(MINUTE), symbols=("A", "B"), calendar="24/7")
        self._ends = ends

    def supports_live(self) -> bool:
        return True

    def stream(self, symbols, frequency, *, since=None):
        return BarStream(self, Feed(self._connect, RULES), symbols, frequency, since=since)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncIterator[Update]]:
        yield self._updates()

    async def _updates(self) -> AsyncIterator[Update]:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        for minute in (1, 2, 3):
            for symbol in ("A", "B"):
                ends = now + timedelta(minutes=minute)
                yield Bar(symbol, ends, 10.0, 11.0, 9.0, 10.5, 100.0, True)
        if self._ends:
            raise AuthenticationError("the key was withdrawn")
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def pushing() -> Iterator[None]:
    DataSourceRegistry.register("pushing", Pushing)
    yield
    DataSourceRegistry.unregister("pushing")


@pytest.fixture
def stream(invoke: Invoke):
    def run(*args: object) -> Result:
        return invoke("stream", "pushing", "--symbols", "A,B", "--bundle", "live", *args)

    return run


def test_bars_are_printed_and_become_a_version(stream):
    done = stream("--for", "0.5s")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("  A  open 10  high 11  low 9  close 10.5  volume 100") == 3
    assert "Bundle live: 6 bars streamed" in done.stdout
    assert "run -f ALGORITHM.py -b live" in done.stdout
    assert "--data-frequency minute" in done.stdout
    assert len(open_bundle("live").bars("minute")) == 6


def test_json_is_one_bar_a_line_and_nothing_else(stream):
    done = stream("--for", "0.5s", "--json")
    bars = [json.loads(line) for line in done.stdout.splitlines()]
    assert [bar["symbol"] for bar in bars if bar["final"]] == ["A", "B"] * 3
    assert set(bars[0]) == {
        "symbol",
        "timestamp",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "final",
    }


def test_what_ends_a_stream_is_said_and_nothing_is_lost(stream):
    done = stream("--option", "ends=true")
    assert done.exit_code == 1
    assert done.stderr == "Error: the key was withdrawn\n"
    again = stream("--for", "0.5s")
    assert again.exit_code == 0, again.output
    assert len(open_bundle("live").bars("minute").filter(pl.col("symbol") == "A")) >= 3


def test_a_bundle_says_what_was_streamed_and_not_confirmed(invoke, bundle, root):
    assert "streamed" not in invoke("bundles", "info", bundle).stdout
    session = Bar("AAA", date(2020, 3, 2), 10.0, 11.0, 9.0, 10.5, 100.0, True)
    with open_journal(bundle, Head("1d", "x", "y", {}), {"ZIPLINE_ROOT": str(root)}) as journal:
        journal.append([session])
        assert "1 final bar in no version yet" in invoke("bundles", "info", bundle).stdout


def test_a_second_stream_is_refused(stream, root):
    with open_journal("live", Head("1m", "x", "y", {}), {"ZIPLINE_ROOT": str(root)}):
        done = stream()
    assert done.exit_code == 1
    assert "bundle 'live' is being streamed into by process" in done.stderr


def test_a_source_that_does_not_stream_says_so(invoke, prices):
    done = invoke(
        "stream", "csv", "--option", f"path={prices}", "--symbols", "AAA", "--bundle", "live"
    )  # fmt: skip
    assert done.exit_code == 1
    assert "source csv does not stream" in done.stderr


@pytest.mark.parametrize("length", ["soon", "0s", "10", "-5m"])
def test_a_duration_that_cannot_be_read_is_a_wrong_option(stream, length):
    done = stream("--for", length)
    assert done.exit_code == 2
    assert "is not a duration" in done.stderr
