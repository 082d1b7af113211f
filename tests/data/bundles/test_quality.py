"""The quality score is the documented formula, and each rule finds its own rows."""

import csv
import gzip
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rustybt.data.adjustments import SPLITS, conform_events
from rustybt.data.bundles import _quality_rules, open_bundle, quality
from rustybt.data.bundles.ingest import ingest
from rustybt.data.samples import STOCKS
from tests.fakes import FrameSource
from tests.frames import bars, sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-03-31")
CLEAN = walk(["A", "B"], DAYS)
NO_SPLITS = pl.DataFrame(schema=SPLITS)


def assess(daily, known=NO_SPLITS):
    """The findings of all years, each judged with the one before."""
    sids = {symbol: sid for sid, symbol in enumerate(sorted(daily["symbol"].unique()))}
    sid = pl.col("symbol").replace_strict(sids, return_dtype=pl.Int64)
    numbered = daily.with_columns(sid=sid).sort("sid", "timestamp")
    years = {
        year: numbered.filter(pl.col("timestamp").dt.year() == year)
        for year in sorted(set(daily["timestamp"].dt.year()))
    }
    found = [
        _quality_rules.judge(part, years.get(year - 1), known, str(year))
        for year, part in years.items()
    ]
    found.append(_quality_rules.zero_volume(daily.filter(pl.col("volume") == 0), "2020"))
    return quality.Quality(len(daily), len(daily), quality.ordered(found))


def found(daily, known=NO_SPLITS):
    return assess(daily, known).findings.select("rule", "symbol", "timestamp").rows()


def changed(symbol, days, **values):
    """The clean bars with other values on some days of a symbol."""
    there = (pl.col("symbol") == symbol) & pl.col("timestamp").is_in(days)
    return CLEAN.with_columns(
        pl.when(there).then(value).otherwise(name).alias(name) for name, value in values.items()
    )


def flat(days, price):
    return changed("A", days, **dict.fromkeys(["open", "high", "low", "close"], pl.lit(price)))


def halved(since, factor=0.5):
    later = (pl.col("symbol") == "A") & (pl.col("timestamp") >= since)
    return CLEAN.with_columns(
        pl.when(later).then(pl.col(name) * factor).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )


def test_clean_bars_have_no_finding_and_score_one():
    result = assess(CLEAN)
    assert result.findings.is_empty()
    assert (result.score, result.missing_data_pct, result.suspect_bars) == (1.0, 0.0, 0)


def test_a_bar_without_volume_is_found():
    assert found(changed("B", [DAYS[7]], volume=0.0)) == [("zero_volume", "B", DAYS[7])]


def test_a_run_without_a_move_is_stale_from_its_fifth_bar_on():
    # The first bar of the seven moved to the price; six did not move from it.
    listed = assess(flat(DAYS[10:17], 50.0)).findings
    columns = ("rule", "symbol", "timestamp", "last", "bars")
    assert listed.select(columns).rows() == [("stale", "A", DAYS[15], DAYS[16], 2)]


def test_a_short_run_without_a_move_is_not_stale():
    assert found(flat(DAYS[10:15], 50.0)) == []


def test_a_run_does_not_go_on_in_the_next_symbol():
    same = [50.0] * 4 + [1.0]
    rows = bars({symbol: dict.fromkeys(DAYS[:5], same) for symbol in ("A", "B")})
    assert found(rows) == []


@pytest.mark.parametrize("factor", [0.5, 1 / 3, 0.25, 0.2, 1 / 7, 0.1, 0.05, 2.0, 10.0])
def test_a_jump_of_the_size_of_a_split_is_found(factor):
    assert found(halved(DAYS[20], factor)) == [("split_like_jump", "A", DAYS[20])]


def test_a_jump_with_its_split_is_none():
    known = splits(("A", DAYS[20].isoformat(), 0.5)).splits
    assert found(halved(DAYS[20]), known) == []


def test_a_split_of_another_symbol_or_day_does_not_excuse_a_jump():
    known = splits(("B", DAYS[20].isoformat(), 0.5), ("A", DAYS[21].isoformat(), 0.5)).splits
    assert found(halved(DAYS[20]), known) == [
        ("split_like_jump", "A", DAYS[20]),
        ("unmatched_split", "A", DAYS[21]),
        ("unmatched_split", "B", DAYS[20]),
    ]


def test_a_split_on_a_day_without_a_bar_excuses_the_jump_after_it():
    halted = halved(DAYS[20]).filter((pl.col("symbol") != "A") | (pl.col("timestamp") != DAYS[20]))
    known = splits(("A", DAYS[20].isoformat(), 0.5)).splits
    assert found(halted, known) == []


def test_a_fall_that_is_no_ratio_of_a_split_is_not_an_error():
    assert found(halved(DAYS[20], 0.6)) == []


def test_a_bar_with_two_findings_is_one_suspect_bar():
    both = flat(DAYS[10:16], 50.0).with_columns(
        pl.when(pl.col("timestamp") == DAYS[15]).then(0.0).otherwise("volume").alias("volume")
    )
    result = assess(both.filter(pl.col("symbol") == "A"))
    assert result.findings["rule"].to_list() == ["stale", "zero_volume"]
    assert result.suspect_bars == 1


@given(
    expected=st.integers(1, 10**6),
    missing=st.integers(0, 10**6),
    suspect=st.integers(0, 50),
)
def test_the_score_is_the_documented_formula(expected, missing, suspect):
    present = max(expected - missing, 0)
    suspect = min(suspect, present)
    findings = pl.DataFrame(
        {
            "rule": ["zero_volume"] * suspect,
            "symbol": [str(number) for number in range(suspect)],
            "timestamp": [DAYS[0]] * suspect,
            "last": [DAYS[0]] * suspect,
            "bars": [1] * suspect,
            "message": ["no volume"] * suspect,
            "period": ["2020"] * suspect,
        },
        schema=quality.FINDINGS,
    )
    judged = quality.Quality(expected, present, findings)
    absent = (expected - present) / expected
    assert judged.missing_data_pct == pytest.approx(100 * absent)
    doubtful = suspect / present if present else 1.0
    assert judged.score == pytest.approx((1 - absent) * (1 - doubtful), abs=1e-6)
    assert 0.0 <= judged.score <= 1.0


def test_an_ingest_counts_over_all_symbols_and_lists_each_finding():
    doubtful = changed("B", [DAYS[7]], volume=0.0)
    with_gaps = doubtful.filter(
        (pl.col("symbol") != "A") | ~pl.col("timestamp").is_in(DAYS[3:6] + DAYS[9:10])
    )
    record = ingest(FrameSource(with_gaps), "b").metadata
    assert record.missing_data_pct == pytest.approx(100 * 4 / (2 * len(DAYS)), abs=1e-6)
    expected = (1 - 4 / (2 * len(DAYS))) * (1 - 1 / len(with_gaps))
    assert record.quality_score == pytest.approx(expected, abs=1e-6)
    listed = open_bundle("b").quality_findings
    assert listed.select("rule", "symbol", "timestamp", "bars").rows() == [
        ("gap", "A", DAYS[3], 3),
        ("gap", "A", DAYS[9], 1),
        ("zero_volume", "B", DAYS[7], 1),
    ]


def sample(symbol):
    with gzip.open(STOCKS / f"{symbol}.csv.gz", "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = ("open", "high", "low", "close", "volume")
    return bars({symbol: {row["date"]: [row[name] for name in names] for row in rows}})


def sample_splits():
    table = pl.read_csv(STOCKS / "splits.csv", try_parse_dates=True)
    return conform_events("splits", table)


def test_the_great_fall_of_a_real_price_is_not_taken_for_a_split():
    daily = sample("AAPL")
    closes = dict(daily.select("timestamp", "close").rows())
    assert closes[date(2000, 9, 29)] / closes[date(2000, 9, 28)] == pytest.approx(0.48, abs=0.01)
    assert found(daily, sample_splits()) == []


def test_a_real_split_that_nobody_tells_of_is_found():
    # Not that of 2000-06-21: the price rose by 10 % on the same day.
    assert found(sample("AAPL")) == [("split_like_jump", "AAPL", date(2005, 2, 28))]


@pytest.mark.parametrize("symbol", ["IBM", "MSFT"])
def test_thirteen_years_of_real_prices_have_no_finding(symbol):
    assert found(sample(symbol), sample_splits()) == []
