"""Does an algorithm fit a bundle?"""

from collections.abc import Iterator
from datetime import date
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rustybt.cli._checks import Check
from rustybt.cli._named import Named, named_in

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle

#: Minutes of a session, to tell how many sessions a window of minutes reaches back.
_A_SESSION = 390


def of_bundle(name: str, algofile: str | None, start: Any, end: Any) -> Iterator[Check]:
    """Whether a bundle is there and sound, and has what an algorithm names."""
    from rustybt.cli._output import count
    from rustybt.data.bundles.bundle import open_bundle
    from rustybt.data.errors import BundleError

    try:
        bundle = open_bundle(name)
    except BundleError as error:
        yield Check("bundle", "wrong", str(error))
        return
    record = bundle.metadata
    span = f"{record.start_date.date()} to {record.end_date.date()}"
    text = f"{name}: {count(len(record.symbols), 'symbol')}, {record.frequency}, {span}"
    yield Check("bundle", "good", text)
    found = Named()
    if algofile is not None:
        try:
            found = named_in(Path(algofile).read_text())
        except (SyntaxError, UnicodeDecodeError) as error:
            yield Check("algorithm", "wrong", f"{algofile} is no Python: {error}")
            return
    run = _Run(bundle, found, start and start.date(), end and end.date())
    yield from run.checks()


class _Run:
    """A run that somebody has in mind."""

    def __init__(
        self, bundle: "Bundle", found: Named, start: date | None, end: date | None
    ) -> None:
        self.bundle = bundle
        self.found = found
        self.first, self.last = (edge.date() for edge in bundle.metadata.bounds)
        self.start = start
        self.end = end

    def checks(self) -> Iterator[Check]:
        yield from self._symbols()
        yield from self._benchmark()
        yield from self._frequency()
        yield from self._dates()
        yield from self._warm_up()
        if self.found.unknown:
            text = "symbols or windows that the algorithm computes are not looked at"
            yield Check("unknown", "note", f"{self.found.unknown} {text}")

    def _life(self, symbol: str) -> tuple[date, date] | None:
        rows = self.bundle.assets.filter(symbol=symbol).select("start_date", "end_date").rows()
        return rows[0] if rows else None

    def _symbols(self) -> Iterator[Check]:
        from rustybt.cli._output import some

        if not self.found.symbols:
            return
        lives = {symbol: self._life(symbol) for symbol in self.found.symbols}
        missing = [symbol for symbol, life in lives.items() if life is None]
        if missing:
            yield Check("symbols", "wrong", f"not in the bundle: {some(missing)}")
            return
        outside = [
            f"{symbol} ({life[0]} to {life[1]})"
            for symbol, life in lives.items()
            if life is not None and not self._meets(*life)
        ]
        if outside:
            yield Check("symbols", "wrong", f"without a bar in the run: {some(outside)}")
        else:
            named = "the one that is named is" if len(lives) == 1 else f"all {len(lives)} are"
            yield Check("symbols", "good", f"{named} there")

    def _meets(self, first: date, last: date) -> bool:
        return (self.end is None or first <= self.end) and (
            self.start is None or last >= self.start
        )

    def _benchmark(self) -> Iterator[Check]:
        symbol = self.found.benchmark
        if symbol is None:
            return
        life = self._life(symbol)
        if life is None:
            yield Check("benchmark", "wrong", f"{symbol} is not in the bundle")
        elif (self.start is not None and life[0] > max(self.start, self.first)) or (
            self.end is not None and life[1] < min(self.end, self.last)
        ):
            text = f"{symbol} has bars from {life[0]} to {life[1]}, not for the whole run"
            yield Check("benchmark", "wrong", text)
        else:
            yield Check("benchmark", "good", f"{symbol} is in the bundle")

    def _frequency(self) -> Iterator[Check]:
        if "1m" in self.found.windows and not self.bundle.has("minute"):
            text = (
                f"windows of minutes, and the bundle has bars of {self.bundle.metadata.frequency}"
            )
            yield Check("frequency", "wrong", text)

    def _dates(self) -> Iterator[Check]:
        wrong = []
        if self.start is not None and self.end is not None and self.start > self.end:
            wrong.append(f"the start, {self.start}, lies after the end, {self.end}")
        if self.start is not None and self.start < self.first:
            wrong.append(f"the bundle begins on {self.first}, after {self.start}")
        if self.end is not None and self.end > self.last:
            wrong.append(f"the bundle ends on {self.last}, before {self.end}")
        for text in wrong:
            yield Check("dates", "wrong", text)
        if not wrong and (self.start is not None or self.end is not None):
            text = f"{self.start or self.first} to {self.end or self.last} lie in the bundle"
            yield Check("dates", "good", text)

    def _warm_up(self) -> Iterator[Check]:
        from rustybt.data.calendars import load_calendar

        windows = self.found.windows
        wanted = max(windows.get("1d", 0), ceil(windows.get("1m", 0) / _A_SESSION))
        if not wanted or (self.start is not None and self.start < self.first):
            return
        calendar = load_calendar(self.bundle.metadata.calendar, self.first, self.last)
        reaches = f"windows reach back {wanted} sessions"
        if len(calendar.sessions) < wanted:
            yield Check("warm-up", "wrong", f"{reaches}, more than the bundle has")
            return
        full = calendar.sessions[wanted - 1].item()
        if self.start is None:
            yield Check("warm-up", "note", f"{reaches}: they are whole in runs from {full} on")
        elif self.start < full:
            text = f"{reaches}: until {full} they begin with gaps. Start then, or prepend"
            yield Check("warm-up", "wrong", text)
        else:
            yield Check("warm-up", "good", f"{reaches}, and the bundle has them")
