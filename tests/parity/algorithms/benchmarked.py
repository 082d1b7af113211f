"""A position that is held against the benchmark the algorithm sets, if it sets one."""

from zipline.api import order_target_percent, set_benchmark, symbol


def initialize(context, asset, benchmark=None):
    context.asset = symbol(asset)
    context.session = 0
    if benchmark:
        set_benchmark(symbol(benchmark))


def handle_data(context, data):
    if context.session % 25 == 0:
        order_target_percent(context.asset, 0.4 + context.session / 1_000)
    context.session += 1
