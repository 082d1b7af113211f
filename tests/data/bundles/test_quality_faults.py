"""Each kind of fault is found once, at its row, and nothing is found in clean data."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rustybt.data.adjustments import Events
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.data.bundles.test_quality import assess
from tests.fakes import FrameSource
from tests.frames import sessions, splits, walk

DAYS = sessions("2018-06-01", "2020-06-30")


def market(days=DAYS, drift=0.003, swing=0.01, seed=5):
    """Three assets that multiply over the years, their volumes too."""
    random = np.random.default_rng(seed)
    parts = []
    for symbol in "ABC":
        close = 20 * np.exp(np.cumsum(random.normal(drift, swing, len(days))))
        opened = close * np.exp(random.normal(0, swing / 2, len(days)))
        spread = 1 + random.random(len(days)) * swing
        volume = 1e5 * np.exp(np.linspace(0, 4, len(days)) + random.normal(0, 0.4, len(days)))
        prices = {
            "open": opened,
            "high": np.maximum(opened, close) * spread,
            "low": np.minimum(opened, close) / spread,
            "close": close,
        }
        columns = {name: values.round(4) for name, values in prices.items()}
        frame = pl.DataFrame({"timestamp": days, **columns, "volume": volume.round()})
        parts.append(frame.select(pl.lit(symbol).alias("symbol"), pl.all()))
    return pl.concat(parts)


CLEAN = market()
PRICES = ("open", "high", "low", "close")


def changed(place, values, bars=CLEAN):
    """The bars of A with other values from a place on, as many as the list has."""
    days = {DAYS[place + step]: new for step, new in enumerate(values)}
    for day, new in days.items():
        there = (pl.col("symbol") == "A") & (pl.col("timestamp") == day)
        bars = bars.with_columns(
            pl.when(there).then(value).otherwise(name).alias(name) for name, value in new.items()
        )
    return bars


def times(factor):
    return {name: pl.col(name) * factor for name in PRICES}


def from_then_on(place, factor):
    later = (pl.col("symbol") == "A") & (pl.col("timestamp") >= DAYS[place])
    return CLEAN.with_columns(
        pl.when(later).then(pl.col(name) * factor).otherwise(name).alias(name) for name in PRICES
    )


def without(place, symbols):
    gone = pl.col("symbol").is_in(symbols) & (pl.col("timestamp") == DAYS[place])
    return CLEAN.filter(~gone)


def flat(place):
    still = {**dict.fromkeys(PRICES, pl.lit(50.0)), "volume": pl.lit(9.0)}
    near = changed(place, [still] * 6)
    # As the price was there, so that standing still is the only fault.
    level = CLEAN.filter((pl.col("symbol") == "A") & (pl.col("timestamp") == DAYS[place]))["close"]
    return near.with_columns(
        pl.when(pl.col("close") == 50.0).then(level[0]).otherwise(name).alias(name)
        for name in PRICES
    )


def twice(place):
    row = (pl.col("symbol") == "A") & (pl.col("timestamp") == DAYS[place])
    return pl.concat([CLEAN, CLEAN.filter(row)])


def on_saturday(place):
    day = date(2019, 6, 1)
    row = CLEAN.filter((pl.col("symbol") == "A") & (pl.col("timestamp") == DAYS[place]))
    return pl.concat([CLEAN, row.with_columns(pl.lit(day).alias("timestamp"))])


FAULTS = {
    "zero_volume": lambda place: changed(place, [{"volume": pl.lit(0.0)}]),
    "stale": lambda place: flat(place - 5),
    "split_like_jump": lambda place: from_then_on(place, 0.5 / 1.003),
    "jump": lambda place: from_then_on(place, 6.1),
    "spike": lambda place: changed(place, [times(1.5)]),
    "unmatched_split": lambda place: CLEAN,
    "wick": lambda place: changed(place, [{"high": pl.col("high") * 8}]),
    "volume_outlier": lambda place: changed(place, [{"volume": pl.col("volume") * 1e6}]),
    "gap": lambda place: without(place, ["A"]),
    "calendar_conflict": lambda place: without(place, ["A", "B", "C"]),
    "price": lambda place: changed(place, [{"close": pl.lit(-1.0)}]),
    "ohlc": lambda place: changed(place, [{"low": pl.col("high") * 2}]),
    "volume": lambda place: changed(place, [{"volume": pl.lit(-5.0)}]),
    "duplicate": twice,
    "off_calendar": on_saturday,
}


def findings(bars, events=None):
    ingest(FrameSource(bars, events), "b", allow_partial=True)
    return open_bundle("b").quality_findings.select("rule", "symbol", "timestamp").rows()


@pytest.mark.parametrize("place", [60, 146, 147, 330])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_once_at_its_row(fault, place):
    assert DAYS[146].year < DAYS[147].year  # also on both sides of New Year
    events = splits(("A", DAYS[place].isoformat(), 0.25)) if fault == "unmatched_split" else None
    symbol = None if fault == "calendar_conflict" else "A"
    day = date(2019, 6, 1) if fault == "off_calendar" else DAYS[place]
    assert findings(FAULTS[fault](place), events) == [(fault, symbol, day)]


@pytest.mark.parametrize(
    "bars",
    [
        CLEAN,
        market(drift=-0.004),
        market(swing=0.08),  # a coin
        market(sessions("2018-06-01", "2020-06-30", "24/7"), swing=0.05),
        walk(["A", "B"], DAYS),
    ],
    ids=["rising", "falling", "coin", "round the clock", "walk"],
)
def test_nothing_is_found_in_clean_data(bars):
    calendar = "24/7" if date(2019, 6, 1) in bars["timestamp"].to_list() else "XNYS"
    ingest(FrameSource(bars), "b", calendar=calendar)
    assert open_bundle("b").quality_findings.is_empty()
    assert open_bundle("b").metadata.quality_score == 1.0


def test_a_split_that_the_price_follows_is_no_fault():
    halved = from_then_on(200, 0.25)
    assert findings(halved, Events(splits=splits(("A", DAYS[200].isoformat(), 0.25)).splits)) == []


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), drift=st.floats(-0.004, 0.004), swing=st.floats(0.004, 0.08))
def test_nothing_is_found_in_any_trend(seed, drift, swing):
    assert assess(market(drift=drift, swing=swing, seed=seed)).findings.is_empty()
