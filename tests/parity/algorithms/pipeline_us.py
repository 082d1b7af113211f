"""A pipeline of built-in and custom terms over splits, dividends, a listing and a delisting."""

import numpy as np
from zipline.api import attach_pipeline, order_target_percent, pipeline_output, record
from zipline.pipeline import CustomClassifier, CustomFactor, Pipeline
from zipline.pipeline.data import EquityPricing, USEquityPricing
from zipline.pipeline.factors import (
    RSI,
    VWAP,
    AverageDollarVolume,
    BollingerBands,
    ExponentialWeightedMovingAverage,
    FastStochasticOscillator,
    RateOfChangePercentage,
    Returns,
    SimpleMovingAverage,
    TrueRange,
)


class Swing(CustomFactor):
    """Highest high over lowest low in a month, so that a split inside the window shows."""

    inputs = (EquityPricing.high, EquityPricing.low)
    window_length = 21

    def compute(self, today, assets, out, high, low):
        out[:] = np.fmax.reduce(high) / np.fmin.reduce(low)


class Oldest(CustomFactor):
    """The first close and volume of the window, as adjusted today."""

    inputs = (USEquityPricing.close, USEquityPricing.volume)
    outputs = ("close", "volume")
    window_length = 30

    def compute(self, today, assets, out, close, volume):
        out.close[:] = close[0]
        out.volume[:] = volume[0]


class Parity(CustomClassifier):
    """Even and odd sids."""

    inputs = (EquityPricing.close,)
    window_length = 1
    dtype = np.int64
    missing_value = -1

    def compute(self, today, assets, out, close):
        out[:] = assets % 2


def make_pipeline():
    close, volume = EquityPricing.close, EquityPricing.volume
    dollars = AverageDollarVolume(window_length=10)
    month = Returns(window_length=21)
    oldest = Oldest()
    bands = BollingerBands(window_length=15, k=2)
    return Pipeline(
        {
            "close": close.latest,
            "volume": volume.latest,
            "open": USEquityPricing.open.latest,
            "average": SimpleMovingAverage(inputs=[close], window_length=12),
            "decayed": ExponentialWeightedMovingAverage.from_span(
                inputs=[close], window_length=20, span=9
            ),
            "month": month,
            "rsi": RSI(),
            "vwap": VWAP(window_length=5),
            "dollars": dollars,
            "change": RateOfChangePercentage(inputs=[close], window_length=25),
            "stochastic": FastStochasticOscillator(),
            "range": TrueRange(),
            "upper": bands.upper,
            "swing": Swing(),
            "oldest_close": oldest.close,
            "oldest_volume": oldest.volume,
            "rank": month.rank(ascending=False),
            "score": month.zscore(),
            "demeaned": month.demean(groupby=Parity()),
            "third": dollars.quantiles(3),
            "parity": Parity(),
            "best": month.top(2),
            "ratio": close.latest / SimpleMovingAverage(inputs=[close], window_length=40) - 1,
        },
        screen=dollars.top(6) & (close.latest > 1.0),
    )


def initialize(context):
    attach_pipeline(make_pipeline(), "everything")


def before_trading_start(context, data):
    context.output = pipeline_output("everything")
    record(output=context.output)


def handle_data(context, data):
    for asset, row in context.output.iterrows():
        if data.can_trade(asset):
            order_target_percent(asset, 0.25 if row["best"] else -0.05)
