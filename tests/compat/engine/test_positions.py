"""Many positions, which are priced and summed up at once, give what zipline makes one by one."""

import random

import polars as pl
import pytest
from zipline import api
from zipline.finance.slippage import SlippageModel

from rustybt.data.bundles.ingest import ingest
from tests.compat.simulation import DAYS, assert_same, simulate
from tests.fakes import FrameSource
from tests.frames import splits, walk

SYMBOLS = [f"S{number:02d}" for number in range(14)]


@pytest.fixture
def many(tmp_path, monkeypatch):
    """Fourteen assets: one ends in February, one has gaps, one is split while it is held."""
    monkeypatch.setenv("ZIPLINE_ROOT", str(tmp_path))
    bars = walk(SYMBOLS, DAYS).filter(
        ~((pl.col("symbol") == "S03") & (pl.col("timestamp") > DAYS[28]))
        & ~((pl.col("symbol") == "S05") & pl.col("timestamp").is_in(DAYS[24:38:3]))
    )
    ingest(FrameSource(bars, splits(("S07", str(DAYS[30]), 0.3))), "many")


def initialize(context):
    context.assets = [api.symbol(name) for name in SYMBOLS]


def with_seed(seed, every):
    def rebalance(context, data):
        draw = random.Random(f"{seed} {data.current_dt}")  # noqa: S311  it draws algorithms
        if draw.random() > every:
            return
        for asset in draw.sample(context.assets, draw.randint(1, len(context.assets))):
            if data.can_trade(asset):
                api.order_target_percent(asset, draw.choice([0, 0.05, -0.03]))
        held = context.portfolio.positions
        api.record(held=[(each.asset.sid, each.amount, each.cost_basis) for each in held.values()])
        api.record(cash=context.portfolio.cash, cushion=context.account.cushion)

    return rebalance


@pytest.mark.parametrize(("seed", "every"), [(1, 1), (2, 1), (3, 0.3), (4, 0.3)])
def test_engines_agree_on_many_positions(many, seed, every):
    options = {"bundle": "many", "initialize": initialize, "handle_data": with_seed(seed, every)}
    fast, stock = (simulate(engine=engine, **options) for engine in ("fast", "stock"))
    assert fast["positions"].map(len).max() > 8
    assert_same(fast, stock)


def hold_all(context, data):
    if not context.portfolio.positions:
        for asset in context.assets:
            api.order_target_percent(asset, 0.05)
    api.record(value=context.portfolio.portfolio_value)


def test_an_asset_that_ends_while_it_is_held_keeps_its_last_price(many):
    options = {"bundle": "many", "initialize": initialize, "handle_data": hold_all}
    fast, stock = (simulate(engine=engine, **options) for engine in ("fast", "stock"))
    assert fast["portfolio_value"].notna().all()
    assert fast["transactions"].map(len).tolist().count(1) == 1  # the asset is closed out
    assert_same(fast, stock)


def take_out(context, data):
    hold_all(context, data)
    positions = context.portfolio.positions
    api.record(held=[asset.sid for asset in positions])
    if positions:
        positions.pop(next(iter(positions)))


def test_a_position_that_the_algorithm_takes_out_of_its_view_comes_back(many):
    options = {"bundle": "many", "initialize": initialize, "handle_data": take_out}
    fast, stock = (simulate(engine=engine, **options) for engine in ("fast", "stock"))
    assert len(fast["held"].iloc[-1]) > 8
    assert_same(fast, stock)


class AtTheOpen(SlippageModel):
    """A user's model that keeps nothing, not even what zipline's constructor would."""

    def __init__(self):
        pass

    def process_order(self, data, order):
        return data.current(order.asset, "open"), order.amount


def test_the_first_fill_is_that_of_a_model_without_attributes(many):
    def start(context):
        initialize(context)
        api.set_slippage(us_equities=AtTheOpen())

    options = {"bundle": "many", "initialize": start, "handle_data": hold_all}
    fast, stock = (simulate(engine=engine, **options) for engine in ("fast", "stock"))
    assert fast["transactions"].map(len).sum() > 8
    assert_same(fast, stock)
