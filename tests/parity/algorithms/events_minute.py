"""Minute mode: long and short across a split and dividends, with a pipeline before the open."""

from zipline.api import attach_pipeline, order, pipeline_output, record, symbols
from zipline.pipeline import Pipeline
from zipline.pipeline.data import EquityPricing
from zipline.pipeline.factors import VWAP, SimpleMovingAverage


def initialize(context):
    context.minute = 0
    close = EquityPricing.close.latest
    average = SimpleMovingAverage(inputs=[EquityPricing.close], window_length=6)
    vwap = VWAP(window_length=4)
    attach_pipeline(
        Pipeline({"close": close, "average": average, "vwap": vwap, "above": close > average}),
        "levels",
    )


def before_trading_start(context, data):
    context.amounts = []
    context.levels = pipeline_output("levels")
    record(levels=context.levels, early=data.current(symbols("KO", "PEP", "XRX"), "price"))


def handle_data(context, data):
    if context.minute == 3:
        for asset, amount in zip(
            symbols("KO", "PEP", "WMT", "XRX"), (500, -401, 77, -33), strict=True
        ):
            order(asset, amount)
    if context.minute % 390 == 100:
        order(context.levels.index[context.levels.above.to_numpy().argmax()], 40)
    context.minute += 1
    if context.minute % 97 == 0:
        held = context.portfolio.positions
        context.amounts.append({asset: (at.amount, at.cost_basis) for asset, at in held.items()})
        record(amounts=tuple(context.amounts), cash=context.portfolio.cash)
