"""Every half hour buy what lies below its mean of 60 minutes and sell what lies above it."""

from zipline.api import order_target, record, symbol

BUNDLE, FREQUENCY = "minute", "minute"
START, END = "2019-10-02", "2019-12-31"


def initialize(context):
    context.assets = [symbol(f"S{number:04d}") for number in range(20)]
    context.bar = 0


def handle_data(context, data):
    context.bar += 1
    prices = data.current(context.assets, "price")
    if context.bar % 30:
        return
    means = data.history(context.assets, "price", 60, "1m").mean()
    for asset in context.assets:
        order_target(asset, 100 if prices[asset] < means[asset] else 0)
    record(bar=context.bar)
