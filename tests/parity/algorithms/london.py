"""A pipeline without a stated domain and history on another exchange's calendar."""

from zipline.api import attach_pipeline, order_target_percent, pipeline_output, record
from zipline.pipeline import Pipeline
from zipline.pipeline.data import EquityPricing
from zipline.pipeline.domain import GB_EQUITIES
from zipline.pipeline.factors import AverageDollarVolume, Returns, SimpleMovingAverage


def initialize(context):
    close = EquityPricing.close
    average = SimpleMovingAverage(inputs=[close], window_length=9)
    columns = {"average": average, "close": close.latest, "month": Returns(window_length=15)}
    attach_pipeline(Pipeline(columns), "implied")
    stated = Pipeline({"turnover": AverageDollarVolume(window_length=8)}, domain=GB_EQUITIES)
    attach_pipeline(stated, "stated")


def before_trading_start(context, data):
    context.output = pipeline_output("implied")
    record(output=context.output, turnover=pipeline_output("stated"))


def handle_data(context, data):
    assets = list(context.output.index)
    window = data.history(assets, "close", 20, "1d")
    volumes = data.history(assets, "volume", 20, "1d")
    record(window=window, volumes=volumes, now=data.current(assets, ["open", "price", "volume"]))
    for asset in assets:
        row = context.output.loc[asset]
        order_target_percent(asset, 0.3 if row["close"] > row["average"] else -0.1)
