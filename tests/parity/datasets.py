"""The data of the parity runs, as CSV folders that both engines read.

``daily/SYMBOL.csv`` and ``minute/SYMBOL.csv`` (date, open, high, low, close, volume; minutes in
UTC at the bar's end) with ``splits.csv`` and ``dividends.csv`` beside the two folders.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import polars as pl
from zipline.utils.calendar_utils import get_calendar

from tests.parity.synthetic import (
    Dividend,
    Listing,
    Split,
    daily_bars,
    minute_bars,
    sessions_of,
)


@dataclass(frozen=True)
class DataSet:
    """One set of CSV files and what an engine must be told to ingest them."""

    name: str
    calendar: str
    country: str
    frequencies: tuple[str, ...]
    write: Callable[[Path], None]
    minutes_per_day: int = 390


def sessions_between(calendar: str, first: str, last: str) -> list[date]:
    """The calendar's sessions from first to last, both included."""
    return list(get_calendar(calendar).sessions_in_range(first, last).date)


def minutes_between(calendar: str, first: str, last: str) -> pl.DataFrame:
    """The calendar's minutes with their sessions: session Date, date Datetime UTC."""
    exchange = get_calendar(calendar)
    minutes = exchange.sessions_minutes(first, last)
    return pl.DataFrame(
        {
            "session": list(exchange.minutes_to_sessions(minutes).date),
            "date": minutes.tz_convert(None).to_numpy(),
        }
    ).with_columns(pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def write_bars(folder: Path, symbol: str, bars: pl.DataFrame) -> None:
    """Write one symbol's file; timestamps as 2013-11-18T14:31:00Z."""
    folder.mkdir(parents=True, exist_ok=True)
    bars.select("date", "open", "high", "low", "close", "volume").write_csv(
        folder / f"{symbol}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ"
    )


def write_events(root: Path, listings: Sequence[Listing]) -> None:
    """Write splits.csv and dividends.csv; dates that are not known stay empty."""
    splits = [
        (item.symbol, split.ex_date, split.ratio) for item in listings for split in item.splits
    ]
    pl.DataFrame(
        splits, schema={"symbol": pl.String, "ex_date": pl.Date, "ratio": pl.Float64}, orient="row"
    ).write_csv(root / "splits.csv")
    dates = ("declared_date", "record_date", "pay_date")
    dividends = [
        (item.symbol, paid.ex_date, paid.amount, *(getattr(paid, name) for name in dates))
        for item in listings
        for paid in item.dividends
    ]
    schema = {"symbol": pl.String, "ex_date": pl.Date, "amount": pl.Float64}
    pl.DataFrame(dividends, schema=schema | dict.fromkeys(dates, pl.Date), orient="row").write_csv(
        root / "dividends.csv"
    )


def write_daily(root: Path, listings: Sequence[Listing], sessions: Sequence[date]) -> None:
    """Write a daily data set."""
    for listing in listings:
        write_bars(root / "daily", listing.symbol, daily_bars(listing, sessions))
    write_events(root, listings)


def write_minutes(
    root: Path, listings: Sequence[Listing], sessions: Sequence[date], minutes: pl.DataFrame
) -> None:
    """Write a data set whose last sessions have minutes, and daily bars made of them."""
    first = minutes["session"][0]
    for listing in listings:
        earlier = daily_bars(listing, [session for session in sessions if session < first])
        close = earlier["close"][-1] * listing.ratios_to_come([first - timedelta(days=1)])[0]
        minute = minute_bars(listing, minutes, close)
        later = sessions_of(minute).rename({"session": "date"})
        write_bars(root / "minute", listing.symbol, minute)
        write_bars(root / "daily", listing.symbol, pl.concat([earlier, later]))
    write_events(root, listings)


def quarterly(amount: float, *ex_dates: date) -> tuple[Dividend, ...]:
    """Dividends declared four weeks before, recorded two days after and paid three weeks after."""
    return tuple(
        Dividend(day, amount, day - timedelta(28), day + timedelta(2), day + timedelta(21))
        for day in ex_dates
    )


US_DAILY = (
    Listing(
        "AMD",
        24.0,
        2_400_000,
        quiet=frozenset({date(2012, 8, 14), date(2012, 8, 15), date(2013, 1, 16)}),
        splits=(Split(date(2013, 1, 15), 0.5),),
        dividends=quarterly(0.25, date(2012, 9, 10), date(2013, 3, 11)),
    ),
    Listing("CERN", 9.0, 2_500, splits=(Split(date(2013, 5, 20), 3.0),)),
    Listing(
        "COST",
        98.0,
        900_000,
        dividends=(
            *quarterly(0.275, date(2012, 8, 15), date(2013, 2, 6), date(2013, 5, 15)),
            # Paid on a Saturday, which zipline never pays out.
            Dividend(
                date(2012, 12, 6), 7.0, date(2012, 11, 28), date(2012, 12, 10), date(2012, 12, 15)
            ),
            Dividend(date(2013, 8, 14), 0.31),
        ),
    ),
    Listing(
        "DELL",
        12.0,
        1_500_000,
        last=date(2013, 10, 29),
        dividends=quarterly(0.08, date(2012, 10, 1), date(2013, 9, 30)),
    ),
    Listing(
        "GPS",
        30.0,
        300_000,
        first=date(2012, 9, 17),
        # Without a bar on the ex-date, the price is carried across the split.
        absent=frozenset({date(2013, 2, 12)}),
        splits=(Split(date(2013, 2, 12), 0.66667),),
        dividends=(Dividend(date(2012, 9, 17), 0.1), *quarterly(0.125, date(2013, 1, 7))),
    ),
    Listing(
        "INTC",
        17.0,
        4_000_000,
        absent=frozenset({date(2012, 10, 15), date(2012, 11, 21), date(2012, 11, 23)}),
        splits=(Split(date(2013, 3, 18), 0.2),),
        dividends=quarterly(0.225, date(2012, 11, 5), date(2013, 3, 18)),
    ),
    Listing("MMM", 88.0, 700_000, tick=0.005, dividends=quarterly(0.59, date(2012, 11, 20))),
)


def write_us_daily(root: Path) -> None:
    """Seven equities: one listed late, one delisted, one that hardly trades."""
    write_daily(root, US_DAILY, sessions_between("XNYS", "2012-06-01", "2013-12-31"))


US_MINUTE = (
    Listing(
        "KO",
        40.0,
        2_000_000,
        traded_share=0.97,
        dividends=(Dividend(date(2013, 11, 27), 0.28, pay_date=date(2013, 12, 4)),),
    ),
    Listing(
        "PEP",
        84.0,
        600_000,
        offset=0.004,
        traded_share=0.9,
        splits=(Split(date(2013, 12, 3), 0.5),),
        late_opens={date(2013, 12, 3): 12},
    ),
    Listing("WMT", 79.0, 3_000_000, offset=0.005),
    Listing(
        "XRX",
        10.0,
        9_000,
        traded_share=0.15,
        absent=frozenset({date(2013, 10, 17), date(2013, 11, 26)}),
        dividends=(Dividend(date(2013, 12, 2), 0.06, pay_date=date(2013, 12, 6)),),
    ),
)


def write_us_minute(root: Path) -> None:
    """Fifteen sessions of minutes around Thanksgiving 2013, daily bars from October on."""
    write_minutes(
        root,
        US_MINUTE,
        sessions_between("XNYS", "2013-10-01", "2013-12-09"),
        minutes_between("XNYS", "2013-11-18", "2013-12-09"),
    )


CRYPTO = (
    Listing("BTC", 16_500.0, 40_000),
    Listing("ETH", 1_200.0, 300_000, absent=frozenset({date(2023, 3, 11)})),
    Listing("XRP", 0.345, 90_000_000, tick=0.001, traded_share=0.6),
)


def write_crypto(root: Path) -> None:
    """A year of days and four days of minutes, Christmas and a weekend among them."""
    write_minutes(
        root,
        CRYPTO,
        sessions_between("24/7", "2023-01-01", "2023-12-26"),
        minutes_between("24/7", "2023-12-23", "2023-12-26"),
    )


LONDON = (
    Listing("BP", 430.0, 30_000_000, tick=0.05, dividends=quarterly(5.4, date(2013, 5, 8))),
    Listing("HSBA", 650.0, 20_000_000, tick=0.1, absent=frozenset({date(2013, 4, 5)})),
    Listing(
        "VOD",
        155.0,
        90_000_000,
        tick=0.05,
        splits=(Split(date(2013, 6, 24), 0.5),),
        dividends=quarterly(6.92, date(2013, 6, 12)),
    ),
)


def write_london(root: Path) -> None:
    """Nine months in pence."""
    write_daily(root, LONDON, sessions_between("XLON", "2013-01-02", "2013-09-30"))


def write_real(root: Path) -> None:
    """The prices that come with the package: AAPL, IBM and MSFT from 2000 to 2013.

    A few have four decimals; uint32 thousandths cannot hold those, so all are cut to three.
    """
    samples = Path(str(files("rustybt.data.samples"))) / "stocks"
    for path in samples.glob("*.csv.gz"):
        bars = pl.read_csv(path).with_columns(pl.col("open", "high", "low", "close").round(3))
        write_bars(root / "daily", path.name.removesuffix(".csv.gz"), bars)
    for name in ("splits.csv", "dividends.csv"):
        shutil.copy(samples / name, root)


DATASETS = {
    dataset.name: dataset
    for dataset in (
        DataSet("us-daily", "XNYS", "US", ("1d",), write_us_daily),
        DataSet("us-minute", "XNYS", "US", ("1d", "1m"), write_us_minute),
        DataSet("crypto", "24/7", "??", ("1d", "1m"), write_crypto, minutes_per_day=1440),
        DataSet("london", "XLON", "GB", ("1d",), write_london),
        DataSet("real", "XNYS", "US", ("1d",), write_real),
    )
}
