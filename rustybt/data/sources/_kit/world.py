"""The truth that a loopback provider renders: bars, corporate actions, and what time it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.adjustments import DIVIDENDS, SPLITS, Events
from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS, Frequency
from rustybt.data.calendars import Calendar, load_calendar
from rustybt.data.sources._finality import bar_ends

#: Days of intraday bars: around both changes of the clocks, the split, and an early close.
INTRADAY_DAYS = tuple(
    date.fromisoformat(f"2020-{day}")
    for day in (
        "03-05", "03-06", "03-09", "03-10", "08-28", "08-31", "10-30", "11-02",
        "11-25", "11-27", "11-30", "12-14", "12-15",
    )
)  # fmt: skip
FIRST, LAST = date(2020, 3, 2), date(2020, 12, 15)
#: In the middle of the last session, and of a bar.
NOW = datetime(2020, 12, 15, 15, 7, 30, tzinfo=UTC)
SPLIT_DAY = date(2020, 8, 31)


@dataclass(frozen=True)
class World:
    """What is true.

    Attributes
    ----------
    bars : mapping of str to polars.DataFrame
        By frequency, RAW, in the bar schema; also those that have not ended by `now`.
    events : Events
        In full, also those after `now`.
    now : datetime
        The time, aware. A bar that has begun and not ended is forming.
    calendar : str
        The market's.
    delisted : mapping of str to date
        Symbols that are no longer traded, with their last session.
    """

    bars: Mapping[str, pl.DataFrame]
    events: Events = field(default_factory=Events)
    now: datetime = NOW
    calendar: str = "XNYS"
    delisted: Mapping[str, date] = field(default_factory=dict)

    @property
    def symbols(self) -> list[str]:
        """All that exist, or did, sorted."""
        traded = {symbol for frame in self.bars.values() for symbol in frame["symbol"].unique()}
        return sorted(traded | set(self.delisted))

    def expected(self, symbols: Sequence[str], frequency: str) -> pl.DataFrame:
        """What a source must return of `symbols`: the bars that have ended."""
        bars = self._begun(frequency).filter(pl.col("symbol").is_in(list(symbols)))
        ended = bars.filter(pl.col("end") <= self.now)
        return ended.select("symbol", "timestamp", *VALUE_COLUMNS)

    def served(self, symbol: str, frequency: str) -> pl.DataFrame:
        """What a provider has of a symbol by `now`, the forming bar included.

        Returns
        -------
        polars.DataFrame
            ``timestamp`` as in the bar schema, ``start`` and ``end`` (UTC instants; of a daily
            bar the session's open and close), and the raw values; in order. Of the forming bar
            they are what is known so far.
        """
        bars = self._begun(frequency).filter(pl.col("symbol") == symbol)
        forming = pl.col("end") > self.now
        so_far = {
            "high": pl.max_horizontal("open", "low"),
            "close": pl.col("low"),
            "volume": (pl.col("volume") / 2).floor(),
        }
        return bars.with_columns(
            pl.when(forming).then(partial).otherwise(pl.col(name)).alias(name)
            for name, partial in so_far.items()
        ).select("timestamp", "start", "end", *VALUE_COLUMNS)

    def adjusted(self, symbol: str, *, dividends: bool) -> pl.DataFrame:
        """Daily bars as providers adjust them: for splits, and for dividends too if asked.

        Written without `rustybt.data.adjustments`, which it is there to check.

        Returns
        -------
        polars.DataFrame
            ``timestamp``, ``start``, ``end`` and the adjusted values, as in `served`.
        """
        bars = self.served(symbol, "1d")
        events = self.events_of(symbol)
        splits = _by_day(events.splits, "ratio")
        cash = _by_day(events.dividends, "amount") if dividends else {}
        price, shares = np.ones(len(bars)), np.ones(len(bars))
        days, close = bars["timestamp"].to_list(), bars["close"].to_list()
        for row in range(len(bars) - 1, 0, -1):
            ratio = splits.get(days[row], 1.0)
            cut = 1.0 - cash.get(days[row], 0.0) / close[row - 1]
            price[row - 1] = price[row] * ratio * cut
            shares[row - 1] = shares[row] / ratio
        return bars.with_columns(
            *(pl.col(name) * price for name in PRICE_COLUMNS), volume=pl.col("volume") * shares
        )

    def events_of(self, symbol: str) -> Events:
        """The splits and dividends of a symbol."""
        own = pl.col("symbol") == symbol
        splits, dividends = self.events.splits.filter(own), self.events.dividends.filter(own)
        return Events(splits=splits, dividends=dividends)

    def restated(self, frequency: str) -> "World":
        """A world in which each symbol's last ended bar has another volume and high."""
        bars = self._begun(frequency)
        last = (pl.col("end") <= self.now) & (
            pl.col("end") == pl.col("end").filter(pl.col("end") <= self.now).max().over("symbol")
        )
        again = bars.with_columns(
            pl.when(last).then(pl.col("high") + 0.25).otherwise(pl.col("high")).alias("high"),
            pl.when(last).then(pl.col("volume") + 8).otherwise(pl.col("volume")).alias("volume"),
        ).select("symbol", "timestamp", *VALUE_COLUMNS)
        return replace(self, bars={**self.bars, frequency: again})

    def _begun(self, frequency: str) -> pl.DataFrame:
        """The bars of a frequency that have begun, with ``start`` and ``end``."""
        bars = self.bars[frequency]
        parsed = Frequency.parse(frequency)
        ends = bar_ends(bars, parsed, self.calendar)
        if parsed.intraday:
            starts = ends - parsed.duration
        else:
            starts = _opens(bars["timestamp"], self.calendar)
        timed = bars.with_columns(starts.alias("start"), ends.alias("end"))
        return timed.filter(pl.col("start") <= self.now)


def make_world(
    symbols: Sequence[str], calendar: str = "XNYS", intraday: str = "15m", *, events: bool = True
) -> World:
    """A world of random walks, the same each time, for tests.

    Daily bars from March to December 2020, and intraday ones around what is hard there: the
    clocks change on 8 March and 1 November, 27 November closes early, and the first symbol
    splits 4:1 on 31 August and pays dividends. It is 15 December, and the market is open.

    Parameters
    ----------
    symbols : sequence of str
        The last one is delisted: it was traded until the end of June.
    calendar : str
    intraday : str
        A frequency that divides the session.
    events : bool
        Whether there are any.
    """
    market = load_calendar(calendar, FIRST, LAST)
    days = market.sessions_between(FIRST, LAST)
    gone = date(2020, 6, 30)
    split = symbols[0] if events else None
    labels = _labels(market, Frequency.parse(intraday))
    bars = {
        "1d": _walks(symbols, days, days, split),
        intraday: _walks(symbols, labels, market.session_of(labels), split),
    }
    traded = {
        frequency: frame.filter(
            (pl.col("symbol") != symbols[-1]) | (pl.col("timestamp").cast(pl.Date) <= gone)
        )
        for frequency, frame in bars.items()
    }
    return World(
        traded, _events(symbols[0]) if events else Events(), NOW, calendar, {symbols[-1]: gone}
    )


def _events(symbol: str) -> Events:
    paid = [(date(2020, 5, 8), 0.82), (date(2020, 8, 7), 0.82), (date(2020, 11, 6), 0.205)]
    rows = [
        (symbol, day, amount, None, day + timedelta(days=3), day + timedelta(days=6))
        for day, amount in paid
    ]
    return Events(
        splits=pl.DataFrame([(symbol, SPLIT_DAY, 0.25)], schema=SPLITS, orient="row"),
        dividends=pl.DataFrame(rows, schema=DIVIDENDS, orient="row"),
    )


def _labels(market: Calendar, frequency: Frequency) -> npt.NDArray[np.datetime64]:
    """Ends of the bars of the intraday days."""
    step = frequency.duration // timedelta(minutes=1)
    found = []
    for day in market.sessions[np.isin(market.sessions, np.array(INTRADAY_DAYS, "datetime64[D]"))]:
        minutes = market.minutes_between(day, day)
        opened = minutes[0] - np.timedelta64(1, "m")
        found.append(minutes[(minutes - opened).astype(int) % step == 0])
    return np.concatenate(found).astype("datetime64[us]")


def _walks(
    symbols: Sequence[str],
    labels: npt.NDArray[np.datetime64],
    days: npt.NDArray[np.datetime64],
    split: str | None,
) -> pl.DataFrame:
    """Valid bars with prices of two decimals; of `split`, four times as much before its split."""
    random = np.random.default_rng(len(labels))
    size = len(labels)
    parts = []
    for symbol in symbols:
        close = 80.0 * np.exp(np.cumsum(random.normal(0, 0.01, size)))
        opened = close * np.exp(random.normal(0, 0.005, size))
        high = np.maximum(opened, close) * (1 + random.random(size) / 100)
        low = np.minimum(opened, close) * (1 - random.random(size) / 100)
        before = np.where((symbol == split) & (days < np.datetime64(SPLIT_DAY)), 4.0, 1.0)
        prices = zip(PRICE_COLUMNS, (opened, high, low, close), strict=True)
        parts.append(
            pl.DataFrame({"timestamp": labels, **{n: np.round(p, 2) * before for n, p in prices}})
            .with_columns(volume=pl.Series(random.integers(1, 10**5, size) * 4.0 / before))
            .select(pl.lit(symbol).alias("symbol"), pl.all())
        )
    bars = pl.concat(parts).sort("symbol", "timestamp")
    if bars.schema["timestamp"] == pl.Date:
        return bars
    return bars.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))


def _opens(sessions: pl.Series, calendar: str) -> pl.Series:
    """When each session opens, UTC."""
    days = sessions.to_numpy().astype("datetime64[D]")
    market = load_calendar(calendar, days.min().item(), days.max().item())
    first = market.first_minutes[np.searchsorted(market.sessions, days)]
    opens = (first - np.timedelta64(1, "m")).astype("datetime64[us]")
    return pl.Series("start", opens).dt.replace_time_zone("UTC")


def _by_day(events: pl.DataFrame, value: str) -> dict[date, float]:
    return dict(zip(events["ex_date"], events[value], strict=True))
