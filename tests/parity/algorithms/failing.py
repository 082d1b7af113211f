"""Handlers that zipline stops with an error."""

from zipline.api import order, set_long_only, set_max_leverage, symbol


def initialize(context):
    set_max_leverage(0.5)


def initialize_long_only(context):
    set_long_only()


def history_before_the_data(context, data):
    data.history(symbol("AMD"), "close", 400, "1d")


def minutes_in_daily_mode(context, data):
    data.history(symbol("AMD"), "close", 5, "1m")


def unknown_symbol(context, data):
    symbol("NOPE")


def unknown_history_field(context, data):
    data.history(symbol("AMD"), "vwap", 3, "1d")


def unknown_frequency(context, data):
    data.history(symbol("AMD"), "close", 3, "1w")


def no_bars(context, data):
    data.history(symbol("AMD"), "close", 0, "1d")


def too_much_leverage(context, data):
    order(symbol("COST"), 9_000)


def short_when_long_only(context, data):
    order(symbol("COST"), -1)


def order_before_the_open(context, data):
    order(symbol("COST"), 1)


def nothing(context, data):
    """The handler of an algorithm that fails before it."""
