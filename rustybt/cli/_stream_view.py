"""What `stream` shows: a table that lives, lines where there is no terminal, or JSON."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rustybt.cli._output import count, facts, heading, next_commands, quoted, say, stdout
from rustybt.cli.ingest._summary import what_is_there
from rustybt.data.bars import Bar
from rustybt.data.bundles.ingest import IngestResult
from rustybt.data.sources._finality import utc_now
from rustybt.data.sources._stream import StreamStatus

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rustybt.data.sources.live_ingest import LiveIngest

_COLUMNS = ("open", "high", "low", "close", "volume")


class Watch:
    """What came of a stream so far, as lines of final bars.

    Attributes
    ----------
    live : LiveIngest or None
        The stream, once it runs.
    finals : collections.Counter
        Final bars, by symbol.
    """

    def __init__(self) -> None:
        self.live: LiveIngest | None = None
        self.finals: Counter[str] = Counter()
        self.status = StreamStatus()
        self.newest: dict[str, Bar] = {}
        self.lag: timedelta | None = None

    @staticmethod
    @contextmanager
    def of(as_json: bool) -> "Iterator[Watch]":
        """The watch that suits the output."""
        console = stdout()
        if as_json:
            yield _JsonLines()
        elif not console.is_terminal:
            yield Watch()
        else:
            with Live(console=console, refresh_per_second=4, transient=True) as drawn:
                yield _LiveTable(drawn)

    def show(self, bars: Sequence[Bar]) -> None:
        """Take note of a batch, and print it."""
        for bar in bars:
            if bar.final:
                self.finals[bar.symbol] += 1
                self.lag = _lag(bar)
            known = self.newest.get(bar.symbol)
            if known is None or known.timestamp <= bar.timestamp:
                self.newest[bar.symbol] = bar
        self.settle()
        self.print(bars)

    def print(self, bars: Sequence[Bar]) -> None:
        """Print the final ones of some bars."""
        for bar in bars:
            if bar.final:
                values = "  ".join(f"{name} {getattr(bar, name):g}" for name in _COLUMNS)
                say(f"{_moment(bar)}  {bar.symbol}  {values}")

    def settle(self) -> None:
        """Take note of how the stream is doing."""
        status = self.live.status if self.live is not None else None
        self.status = status or self.status

    async def keep_fresh(self) -> None:
        """Show how time passes, where that is shown."""
        await asyncio.Event().wait()


class _JsonLines(Watch):
    def print(self, bars: Sequence[Bar]) -> None:
        for bar in bars:
            click.echo(json.dumps(asdict(bar), default=lambda moment: moment.isoformat()))


class _LiveTable(Watch):
    def __init__(self, drawn: Live) -> None:
        super().__init__()
        self._drawn = drawn

    def print(self, bars: Sequence[Bar]) -> None:  # noqa: ARG002  the newest of each are shown
        self._drawn.update(self._picture())

    async def keep_fresh(self) -> None:
        while True:
            self.settle()
            self._drawn.update(self._picture())
            await asyncio.sleep(1)

    def _picture(self) -> "RenderableType":
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("symbol")
        table.add_column("bar")
        for name in (*_COLUMNS, "final bars"):
            table.add_column(name, justify="right")
        for symbol, bar in sorted(self.newest.items()):
            values = [f"{getattr(bar, name):,.10g}" for name in _COLUMNS]
            style = "" if bar.final else "italic"
            table.add_row(symbol, _moment(bar), *values, f"{self.finals[symbol]:,}", style=style)
        return Group(table, Text(self._line(), style="dim"))

    def _line(self) -> str:
        parts = [
            "connected" if self.status.connected else "not connected",
            *how_it_went(self.status),
            "" if self.lag is None else f"last bar {self.lag.total_seconds():.0f} s after its end",
            self.status.trouble,
            self.live.trouble if self.live is not None else "",
            "Ctrl-C stops and writes a version",
        ]
        return " · ".join(part for part in parts if part)


def how_it_went(status: StreamStatus) -> Iterator[str]:
    """What happened to the connection, as far as it did."""
    if status.connections > 1:
        yield count(status.connections - 1, "reconnection")
    if status.fetched:
        yield f"{count(status.fetched, 'bar')} fetched"
    if status.late:
        yield f"{count(status.late, 'update')} too late"


def print_summary(watch: Watch, result: IngestResult | None, bundle: str) -> None:
    """Say what came of a stream."""
    name = quoted(bundle)
    heading(f"Bundle {bundle}: {count(watch.finals.total(), 'bar')} streamed")
    rows: list[tuple[str, Any]] = [("connection", ", ".join(how_it_went(watch.status)) or None)]
    if result is None:
        rows.append(("version", "none was written: no bar became final since the last one"))
        facts(rows)
        next_commands(f"bundles info {name}")
        return
    facts([*rows, *what_is_there(result)])
    record = result.metadata
    span = f"--start {record.start_date.date()} --end {record.end_date.date()}"
    minute = "" if record.frequency == "1d" else " --data-frequency minute"
    next_commands(f"run -f ALGORITHM.py -b {name} {span}{minute}", f"quality {name}")


def _moment(bar: Bar) -> str:
    moment: datetime | date = bar.timestamp
    return f"{moment:%Y-%m-%d %H:%M}" if isinstance(moment, datetime) else str(moment)


def _lag(bar: Bar) -> timedelta | None:
    if not isinstance(bar.timestamp, datetime):
        return None
    return max(utc_now() - bar.timestamp, timedelta(0))
