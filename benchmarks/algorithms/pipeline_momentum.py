"""Every week long the fifty assets that rose most in 100 days, short those that rose least."""

from zipline.api import (
    attach_pipeline,
    date_rules,
    order_target_percent,
    pipeline_output,
    schedule_function,
)
from zipline.pipeline import Pipeline
from zipline.pipeline.factors import AverageDollarVolume, Returns

BUNDLE, FREQUENCY = "daily", "daily"
START, END = "2015-01-02", "2017-12-29"


def initialize(context):
    momentum = Returns(window_length=100)
    liquid = AverageDollarVolume(window_length=20).top(400)
    pipeline = Pipeline(
        columns={
            "longs": momentum.top(50, mask=liquid),
            "shorts": momentum.bottom(50, mask=liquid),
        },
        screen=liquid,
    )
    attach_pipeline(pipeline, "momentum")
    schedule_function(rebalance, date_rules.week_start())


def before_trading_start(context, data):
    context.output = pipeline_output("momentum")


def rebalance(context, data):
    output = context.output
    longs, shorts = output.index[output.longs], output.index[output.shorts]
    for asset in list(context.portfolio.positions):
        if asset not in longs and asset not in shorts:
            order_target_percent(asset, 0)
    for asset in longs:
        order_target_percent(asset, 0.01)
    for asset in shorts:
        order_target_percent(asset, -0.01)
