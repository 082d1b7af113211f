"""Rebalance all assets every day, each by the inverse of its volatility over 20 days."""

import numpy as np
from zipline.api import order_target_percent, symbol

BUNDLE, FREQUENCY = "daily", "daily"
START, END = "2015-01-02", "2015-12-31"


def initialize(context):
    context.assets = [symbol(f"S{number:04d}") for number in range(500)]


def handle_data(context, data):
    prices = data.history(context.assets, "close", 21, "1d").to_numpy()
    volatility = np.nanstd(np.diff(np.log(prices), axis=0), axis=0)
    weights = 1 / volatility
    weights /= weights.sum()
    for asset, weight in zip(context.assets, weights, strict=True):
        order_target_percent(asset, weight)
