"""Hold one asset while its average of 20 days is above that of 100."""

from zipline.api import order_target, record, symbol

BUNDLE, FREQUENCY = "daily", "daily"
START, END = "2010-01-04", "2019-12-31"


def initialize(context):
    context.asset = symbol("S0000")
    context.bar = 0


def handle_data(context, data):
    context.bar += 1
    if context.bar < 100:
        return
    short = data.history(context.asset, "price", 20, "1d").mean()
    long = data.history(context.asset, "price", 100, "1d").mean()
    order_target(context.asset, 100 if short > long else 0)
    record(short=short, long=long, price=data.current(context.asset, "price"))
