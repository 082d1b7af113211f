"""A small bundle and a small algorithm for the tests of `run_algorithm`."""

import pandas as pd
import polars as pl
from zipline.api import order, record, symbol

from rustybt import run_algorithm
from tests.compat import stock
from tests.frames import sessions, walk

DAYS = sessions("2020-01-02", "2020-03-31")
BARS = walk(["A", "B"], DAYS)
START, END = pd.Timestamp("2020-02-03"), pd.Timestamp("2020-02-28")


def initialize(context):
    context.asset = symbol("A")


def buy(context, data):
    order(context.asset, 1)
    record(close=data.current(context.asset, "close"))


def simulate(start=START, end=END, bundle="b", **options):
    """Run, without an extension file and with a hundred thousand."""
    defaults = {
        "initialize": initialize,
        "handle_data": buy,
        "capital_base": 1e5,
        "default_extension": False,
    }
    return run_algorithm(start=start, end=end, bundle=bundle, **{**defaults, **options})


def assert_same(one, other):
    """Two performance frames are equal to the bit."""
    pd.testing.assert_frame_equal(stock.plain(one), stock.plain(other), check_exact=True)


def closes(name="A", first=START, last=END):
    inside = pl.col("timestamp").is_between(first.date(), last.date())
    return BARS.filter(inside & (pl.col("symbol") == name))["close"].to_list()
