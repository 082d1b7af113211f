"""Buy one asset on the first day and keep it."""

from zipline.api import order, symbol

BUNDLE, FREQUENCY = "daily", "daily"
START, END = "2010-01-04", "2019-12-31"


def initialize(context):
    context.asset = symbol("S0000")
    context.bought = False


def handle_data(context, data):
    if not context.bought:
        order(context.asset, 1000)
        context.bought = True
