"""schedule_function with date and time rules; the same file runs in daily and minute mode."""

from zipline.api import date_rules, get_datetime, order, record, schedule_function, sid, time_rules
from zipline.utils.events import calendars


def rules():
    """New rules for each run: zipline's remember the session they last looked at."""
    return (
        ("every_day", date_rules.every_day(), time_rules.market_open(minutes=1)),
        ("after_lunch", date_rules.every_day(), time_rules.market_open(hours=3, minutes=20)),
        ("week_start", date_rules.week_start(days_offset=1), time_rules.market_close(minutes=30)),
        ("week_end", date_rules.week_end(), time_rules.market_close(hours=1)),
        ("month_start", date_rules.month_start(days_offset=2), time_rules.market_open()),
        ("month_end", date_rules.month_end(days_offset=1), time_rules.market_close()),
    )


def initialize(context):
    context.calls = []
    for place, (name, day, time) in enumerate(rules()):
        schedule_function(called(name, place), day, time)
    schedule_function(called("full_days", 6), half_days=False)
    schedule_function(
        called("us", 7),
        date_rules.every_day(),
        time_rules.market_close(),
        True,
        calendars.US_EQUITIES,
    )


def called(name, place):
    """A scheduled function that notes its name and trades."""

    def rebalance(context, data):
        context.calls.append((name, get_datetime()))
        asset = sid(place % 2)
        if data.can_trade(asset):
            order(asset, 3 + place)

    return rebalance


def before_trading_start(context, data):
    context.calls = []


def handle_data(context, data):
    record(calls=tuple(context.calls))
