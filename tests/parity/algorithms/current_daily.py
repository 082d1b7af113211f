"""data.current of every field and shape, is_stale and can_trade, on every session."""

from zipline.api import get_datetime, order, record, symbols

FIELDS = ["open", "high", "low", "close", "volume", "price", "last_traded"]


def initialize(context):
    context.assets = symbols("AMD", "CERN", "COST", "DELL", "GPS", "INTC", "MMM")
    context.session = 0


def before_trading_start(context, data):
    record(
        early=data.current(context.assets, ["price", "close", "volume"]),
        early_stale=data.is_stale(context.assets),
        early_can_trade=data.can_trade(context.assets),
        early_dt=data.current_dt,
    )


def handle_data(context, data):
    single = context.assets[context.session % len(context.assets)]
    context.session += 1
    record(
        **{f"now_{name}": data.current(single, name) for name in FIELDS},
        now_amd_volume=data.current(context.assets[0], "volume"),
        now_amd_price=data.current(context.assets[0], "price"),
        row=data.current(single, FIELDS),
        column=data.current(context.assets, "price"),
        traded=data.current(context.assets, "last_traded"),
        table=data.current(context.assets, FIELDS),
        stale=data.is_stale(context.assets),
        stale_single=data.is_stale(single),
        can_trade=data.can_trade(context.assets),
        can_trade_single=data.can_trade(single),
        now=get_datetime(),
        session=data.current_session,
    )
    if data.can_trade(single) and not data.is_stale(single):
        order(single, 10 + context.session % 7)
