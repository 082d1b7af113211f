"""Pipelines of a run see the session before as it was written."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from zipline.api import attach_pipeline, pipeline_output
from zipline.pipeline import Pipeline
from zipline.pipeline.data import Column, DataSet, EquityPricing
from zipline.pipeline.domain import US_EQUITIES
from zipline.pipeline.loaders.frame import DataFrameLoader

from rustybt.data.bundles.ingest import ingest
from tests.compat.simulation import BARS, DAYS, closes, simulate
from tests.fakes import FrameSource
from tests.frames import VALUES


class Numbers(DataSet):
    number = Column(dtype=float)
    domain = US_EQUITIES


def with_pipeline(**columns):
    seen = []

    def begin(context):
        attach_pipeline(Pipeline(columns), "pipeline")

    def look(context, data):
        seen.append(pipeline_output("pipeline"))

    return {"initialize": begin, "before_trading_start": look, "handle_data": None}, seen


def test_a_pipeline_sees_the_session_before_as_it_was_written(bundle):
    columns = {name: getattr(EquityPricing, name).latest for name in VALUES}
    functions, seen = with_pipeline(**columns)
    simulate(**functions)
    found = [tuple(table[list(VALUES)].iloc[0]) for table in seen]
    own = BARS.filter(pl.col("symbol") == "A").select(VALUES).rows()
    assert found == own[20 : 20 + len(seen)]


def test_a_pipeline_keeps_every_digit():
    odd = {"price": [1.234e-5, 150_000_000.0, 0.1 + 0.2], "volume": [0.7, 4.5e12, 1e-8]}
    bars = BARS.filter(pl.col("symbol") == "A").with_columns(
        *(pl.Series(name, np.resize(odd["price"], len(DAYS))) for name in VALUES[:4]),
        volume=pl.Series(np.resize(odd["volume"], len(DAYS))),
    )
    ingest(FrameSource(bars), "odd")
    functions, seen = with_pipeline(
        close=EquityPricing.close.latest, volume=EquityPricing.volume.latest
    )
    simulate(bundle="odd", **functions)
    found = [tuple(table[["close", "volume"]].to_numpy()[0]) for table in seen]
    assert found == bars.select("close", "volume").rows()[20 : 20 + len(seen)]


def test_a_custom_loader_loads_its_own_columns(bundle):
    values = pd.DataFrame(7.0, index=pd.DatetimeIndex(DAYS), columns=[0, 1])
    functions, seen = with_pipeline(number=Numbers.number.latest, close=EquityPricing.close.latest)
    loader = {Numbers.number: DataFrameLoader(Numbers.number, values)}
    simulate(custom_loader=loader, **functions)
    assert (seen[-1]["number"] == 7.0).all()
    assert seen[-1]["close"].iloc[0] == closes()[-2]


def test_a_column_without_a_loader_is_an_error_that_names_it(bundle):
    functions, _ = with_pipeline(number=Numbers.number.latest)
    with pytest.raises(ValueError, match=r"no pipeline loader for column .*number.*custom_loader"):
        simulate(**functions)
