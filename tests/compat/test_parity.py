"""A bundle that was converted from zipline's format is run on that format too."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from zipline.api import order, record
from zipline.utils.run_algo import BenchmarkSpec

from rustybt.compat.convert import convert
from rustybt.compat.parity import BCOLZ, FAST, STOCK, parity
from rustybt.compat.simulation import Algorithm, Setting
from tests.compat.bcolz_root import Content, daily, minute

CONTENT = Content(
    daily(0, 1, 7),
    minute(0, 7),
    splits=pd.DataFrame(
        {"sid": [1], "effective_date": [pd.Timestamp("2020-11-20")], "ratio": [0.25]}
    ),
)


def initialize(context):
    context.assets = [context.asset_finder.retrieve_asset(sid) for sid in (0, 1, 7)]


def handle_data(context, data):
    record(closes=data.history(context.assets, "price", 2, "1d").to_numpy().tolist())
    for number, asset in enumerate(context.assets):
        if data.can_trade(asset):
            order(asset, number - 1)


def make():
    start, end = pd.Timestamp("2020-11-17"), pd.Timestamp("2020-12-04")
    functions = {"initialize": initialize, "handle_data": handle_data}
    zero = pd.Series(0.0, index=pd.bdate_range(start, end))
    setting = Setting(start, end, 1e5, "b")
    return Algorithm("both", functions), setting, BenchmarkSpec.from_returns(zero)


@pytest.fixture
def ingestion(zipline_root: Path) -> Path:
    """zipline's own ingestion of a bundle that was converted."""
    directory = CONTENT.ingest(zipline_root)
    (result,) = convert("b")
    assert result.status == "converted"
    return directory


def test_three_runs_are_the_same(ingestion):
    found = parity(make)
    assert found.identical, found.differences[:5]
    assert found.sides == (BCOLZ.name, STOCK.name, FAST.name)
    assert found.transactions > 10


def test_without_the_ingestion_there_are_two(ingestion):
    shutil.rmtree(ingestion)
    assert parity(make).sides == (STOCK.name, FAST.name)
