"""Data sets of more assets than zipline and the fast run treat one by one, with the worst of days.

Among the daily ones are assets whose first or last row is a session without a trade, events on the
last session of a life and on the day after it, on the first one, and several on one day.
"""

from datetime import date
from pathlib import Path

from tests.parity.datasets import (
    DataSet,
    minutes_between,
    quarterly,
    sessions_between,
    write_daily,
    write_minutes,
)
from tests.parity.synthetic import Dividend, Listing, Split

_FIRST, _LAST = date(2012, 6, 1), date(2013, 12, 31)
#: The lives of some end here; so do what is paid for them and what they are split by.
_END = date(2013, 7, 31)
_AFTER = date(2013, 8, 1)

DAILY = (
    # No trade on the first two sessions of all, nor on the last.
    Listing(
        "AAA",
        50.0,
        400_000,
        quiet=frozenset({_FIRST, date(2012, 6, 4), _LAST}),
        splits=(Split(date(2012, 10, 1), 0.5), Split(date(2013, 6, 3), 0.25)),
    ),
    Listing(
        "BBB",
        20.0,
        90_000,
        last=_END,
        splits=(Split(_END, 0.5),),
        dividends=(Dividend(_END, 0.2, pay_date=date(2013, 8, 20)),),
    ),
    Listing(
        "CCC",
        31.0,
        150_000,
        last=_END,
        quiet=frozenset({date(2013, 7, 30), _END}),
        dividends=(Dividend(_AFTER, 0.4, pay_date=_AFTER),),
    ),
    Listing("DDD", 75.0, 60_000, first=date(2012, 9, 4), splits=(Split(date(2012, 9, 4), 3.0),)),
    Listing(
        "EEE",
        12.0,
        700_000,
        splits=(Split(date(2013, 2, 15), 0.5),),
        dividends=(
            Dividend(date(2013, 2, 15), 0.1, pay_date=date(2013, 2, 15)),
            Dividend(date(2013, 2, 15), 0.05, pay_date=date(2013, 3, 1)),
        ),
    ),
    Listing("FFF", 8.0, 1_500, first=date(2013, 3, 1), last=date(2013, 3, 4)),
    Listing("GGG", 140.0, 30_000, first=date(2013, 5, 1), quiet=frozenset({date(2013, 5, 1)})),
    Listing(
        "HHH",
        44.0,
        250_000,
        absent=frozenset(date(2013, 4, day) for day in range(1, 31)),
        splits=(Split(date(2013, 4, 10), 0.5),),
        dividends=quarterly(0.33, date(2013, 4, 11), date(2013, 4, 30)),
    ),
    Listing("III", 66.0, 500_000, last=date(2012, 12, 31)),
    Listing("JJJ", 23.0, 800_000, dividends=quarterly(0.12, date(2012, 8, 1), _AFTER)),
    Listing("KKK", 90.0, 300_000, last=_END, splits=(Split(_AFTER, 2.0),)),
    Listing("LLL", 5.0, 4_000, tick=0.001),
    Listing("MMN", 37.0, 220_000, dividends=(Dividend(date(2012, 7, 2), 1.5),)),
    Listing("NNN", 210.0, 45_000, splits=(Split(date(2013, 1, 2), 0.1),)),
    Listing("OOO", 15.0, 999_000),
)

MINUTE = (
    *(
        Listing(f"W{number:02d}", 11.0 + 7 * number, 40_000 * number + 500_000, traded_share=share)
        for number, share in enumerate((1.0, 0.99, 0.9, 0.5, 0.05, 1.0, 0.97, 0.8, 1.0))
    ),
    Listing(
        "XXX",
        52.0,
        900_000,
        traded_share=0.9,
        splits=(Split(date(2013, 12, 3), 0.5),),
        dividends=(Dividend(date(2013, 12, 3), 0.3, pay_date=date(2013, 12, 4)),),
    ),
    Listing("YYY", 70.0, 20_000, traded_share=0.4, late_opens={date(2013, 12, 2): 200}),
    Listing("ZZZ", 33.0, 300_000, absent=frozenset({date(2013, 11, 29), date(2013, 12, 4)})),
)


def write_wide_daily(root: Path) -> None:
    """Fifteen equities over nineteen months."""
    write_daily(root, DAILY, sessions_between("XNYS", f"{_FIRST}", f"{_LAST}"))


def write_wide_minute(root: Path) -> None:
    """Twelve equities in six sessions of minutes, an early close among them."""
    write_minutes(
        root,
        MINUTE,
        sessions_between("XNYS", "2013-10-01", "2013-12-04"),
        minutes_between("XNYS", "2013-11-26", "2013-12-04"),
    )


WIDE = (
    DataSet("wide-daily", "XNYS", "US", ("1d",), write_wide_daily),
    DataSet("wide-minute", "XNYS", "US", ("1d", "1m"), write_wide_minute),
)
