"""data.history of every field and both frequencies in minute mode, a few times a session."""

from zipline.api import get_datetime, order_target, record, symbols

FIELDS = ["open", "high", "low", "close", "volume", "price"]
COUNTS = {"1m": (1, 3, 30, 400), "1d": (1, 2, 6, 25)}


def initialize(context):
    context.assets = symbols("KO", "PEP", "WMT", "XRX")
    context.bar = 0
    context.turn = 0


def before_trading_start(context, data):
    context.bar = 0
    context.seen = []
    record(
        early_1d=data.history(context.assets, "price", 4, "1d"),
        early_1m=data.history(context.assets, "close", 4, "1m"),
        early_volume=data.history(context.assets, "volume", 4, "1d"),
        early_fields=data.history(context.assets[1], ["close", "volume"], 4, "1d"),
    )


def handle_data(context, data):
    context.bar += 1
    if context.bar % 101 not in (1, 2, 90):
        return
    context.turn += 1
    single = context.assets[context.turn % len(context.assets)]
    for frequency, counts in COUNTS.items():
        count = counts[context.turn // 3 % len(counts)]
        for field in (FIELDS[context.turn % len(FIELDS)], "price"):
            window = data.history(context.assets, field, count, frequency)
            context.seen.append((frequency, field, get_datetime(), window))
        fields = data.history(single, FIELDS, min(count, 6), frequency)
        context.seen.append((frequency, "all", get_datetime(), fields))
    window = data.history(single, "price", 30, "1m")
    if data.can_trade(single):
        order_target(single, 300 if window.iloc[-1] > window.mean() else -200)
    record(seen=tuple(context.seen))
