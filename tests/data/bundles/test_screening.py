"""What is screened out by the figures of its periods has nothing that a rule could find."""

from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rustybt.data.adjustments import SPLITS
from rustybt.data.bundles import _contents, _quality_rules
from rustybt.data.bundles._screening import worth_judging
from tests.frames import sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-06-30")
SIDS = {symbol: sid for sid, symbol in enumerate("ABCDEF")}
CLEAN = walk(list(SIDS), DAYS).with_columns(
    sid=pl.col("symbol").replace_strict(SIDS, return_dtype=pl.Int64), session="timestamp"
)
PRICES = ["open", "high", "low", "close"]
FAULTS = {
    "no volume": {"volume": pl.lit(0.0)},
    "no trade": dict.fromkeys([*PRICES, "volume"], pl.lit(0.0)),
    "volume": {"volume": pl.col("volume") * 40},
    "flat": dict.fromkeys(PRICES, pl.lit(40.0)),
    "jump": {name: pl.col(name) * 3.5 for name in PRICES},
    "wick": {"high": pl.col("high") * 4},
}


@given(
    faults=st.lists(
        st.tuples(
            st.sampled_from(sorted(FAULTS)),
            st.sampled_from(sorted(SIDS)),
            st.integers(0, len(DAYS) - 1),
            st.integers(1, 9),
        ),
        max_size=4,
    ),
    cuts=st.sets(st.integers(1, len(DAYS) - 1), max_size=12),
    begin=st.integers(0, 11),
    split=st.sampled_from([None, *DAYS[5:120:20], *DAYS[:2]]),
)
def test_only_assets_without_findings_are_left_out(faults, cuts, begin, split):
    bars = CLEAN
    for kind, symbol, first, count in faults:
        days = DAYS[first : first + count]
        chosen = (pl.col("symbol") == symbol) & pl.col("timestamp").is_in(days)
        bars = bars.with_columns(
            pl.when(chosen).then(value).otherwise(name).alias(name)
            for name, value in FAULTS[kind].items()
        )
    known = splits(("A", str(split), 0.5)).splits if split else pl.DataFrame(schema=SPLITS)
    edges = [0, *sorted(cuts), len(DAYS)]
    parts = [
        _contents.describe(
            "daily", str(number), bars.filter(pl.col("timestamp").is_in(DAYS[begin:end]))
        )
        for number, (begin, end) in enumerate(pairwise(edges))
    ]
    since = DAYS[edges[min(begin, len(edges) - 2)]]
    sids = worth_judging(pl.concat(parts), known, since)
    everything, screened = (
        _quality_rules.judge(
            part.filter(pl.col("timestamp") >= since),
            part.filter(pl.col("timestamp") < since),
            known,
            "2020",
        )
        for part in (bars, bars.filter(pl.col("sid").is_in(sids.implode())))
    )
    assert screened.sort(pl.all()).equals(everything.sort(pl.all()))


def test_clean_assets_are_left_out():
    parts = [_contents.describe("daily", "2020", CLEAN)]
    assert worth_judging(pl.concat(parts), pl.DataFrame(schema=SPLITS), DAYS[0]).is_empty()
