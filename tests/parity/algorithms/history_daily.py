"""data.history of every field, in every shape, read on every session of a daily run."""

from zipline.api import order_target, record, symbols

FIELDS = ["open", "high", "low", "close", "volume", "price"]
COUNTS = (1, 2, 7, 45)


def initialize(context):
    context.assets = symbols("AMD", "CERN", "COST", "DELL", "GPS", "INTC", "MMM")
    context.session = 0


def handle_data(context, data):
    count = COUNTS[context.session % len(COUNTS)]
    single = context.assets[context.session % len(context.assets)]
    context.session += 1
    record(
        **{f"seen_{name}": data.history(context.assets, name, count, "1d") for name in FIELDS},
        seen_single=data.history(single, "price", count, "1d"),
    )
    if context.session % 5 == 0:
        record(
            seen_single_fields=data.history(single, FIELDS, count, "1d"),
            seen_all=data.history(context.assets[:3], FIELDS[::-1], 3, "1d"),
        )
    window = data.history(single, "price", 7, "1d")
    if data.can_trade(single):
        order_target(single, 100 if window.iloc[-1] > window.mean() else -50)
