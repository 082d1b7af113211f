"""How far apart bars stand, and which frequency that is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.errors import FrequencyError
from rustybt.data.sources._csv_times import Times

#: From one session's close to the next one's, after an early close and a change of clocks.
_LEAST_DAY = timedelta(hours=20)
_LEAST_WEEK = timedelta(days=6)
#: Fewer bars may stand a week apart by chance.
_BARS_TO_TELL_WEEKS = 10


@dataclass(frozen=True)
class Spacing:
    """What the times of some bars tell of their frequency.

    Attributes
    ----------
    days_only : bool
        Whether no bar has a time of day.
    step : timedelta or None
        The smallest step between two bars of a symbol, None if no symbol has two.
    bars : int
        The most bars that a symbol has.
    """

    days_only: bool = True
    step: timedelta | None = None
    bars: int = 0

    @property
    def daily(self) -> bool:
        """Whether no symbol has two bars within a session."""
        return self.days_only or self.step is None or self.step >= _LEAST_DAY

    def frequency(self, where: str) -> Frequency | None:
        """The frequency of such bars; None if there are too few to tell.

        Raises
        ------
        FrequencyError
            If no frequency has such a step. The message names the file or folder, `where`.
        """
        if self.step is None:
            return DAILY if self.days_only and self.bars else None
        if self.daily:
            weekly = self.step >= _LEAST_WEEK and self.bars >= _BARS_TO_TELL_WEEKS
            return Frequency(1, "w") if weekly else DAILY
        minutes, rest = divmod(self.step, timedelta(minutes=1))
        if rest:
            raise FrequencyError(
                f"the smallest step between bars of {where} is {self.step}, which is no whole "
                "number of minutes; if that is not their frequency, say which it is with frequency="
            )
        return Frequency.parse(f"{minutes}m")


def measure(symbols: pl.Series, times: Times) -> Spacing:
    """The spacing of a file's bars.

    Parameters
    ----------
    symbols : polars.Series
        String, shape (n,).
    times : Times
        Of the same rows.
    """
    frame = pl.DataFrame({"symbol": symbols, "time": times.utc_or_wall()}).drop_nulls()
    ordered = frame if _is_sorted(frame) else frame.sort("symbol", "time")
    # Bars that stand there twice are refused later; here they would make every step zero.
    apart = pl.col("time").diff()
    same = (pl.col("symbol") == pl.col("symbol").shift(1)) & (apart > timedelta(0))
    step, most = ordered.select(
        apart.filter(same).min().alias("step"), pl.col("symbol").rle().struct["len"].max()
    ).row(0)
    return Spacing(times.days_only, step, most or 0)


def _is_sorted(frame: pl.DataFrame) -> bool:
    symbol, time = pl.col("symbol"), pl.col("time")
    before, earlier = symbol.shift(1), time.shift(1)
    rises = (symbol > before) | ((symbol == before) & (time >= earlier))
    return bool(frame.select(rises.all(ignore_nulls=True)).item())


def combine(spacings: Iterable[Spacing]) -> Spacing:
    """The spacing of several files' bars together."""
    each = list(spacings)
    steps = [spacing.step for spacing in each if spacing.step is not None]
    return Spacing(
        days_only=all(spacing.days_only for spacing in each),
        step=min(steps, default=None),
        bars=max((spacing.bars for spacing in each), default=0),
    )


def require_frequency(found: Frequency | None, asked: Frequency, where: str) -> None:
    """Raise if bars of one frequency are asked for and another one is there.

    Raises
    ------
    FrequencyError
    """
    if found is not None and found != asked:
        raise FrequencyError(
            f"{where} has bars of {found}, not of {asked}. If {found} is a mistake, make the "
            f"source with frequency='{asked}'"
        )
