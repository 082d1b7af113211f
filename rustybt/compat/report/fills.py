"""Fills and unfilled orders on the price of each asset, and the table of trades."""

from dataclasses import dataclass

import polars as pl

from rustybt.compat.report import plot, prices
from rustybt.compat.report.plot import Trace
from rustybt.compat.report.run import Run
from rustybt.compat.report.text import count, noun, number, quantity

#: Assets that get a chart and a row, those with the most fills.
MAX_ASSETS = 40
#: Fills drawn for an asset, the largest by value.
MAX_MARKERS = 2_000
#: More fills than this on one side are drawn smaller.
FEW_MARKERS = 150
#: Columns of the table of trades.
COLUMNS = ("Asset", "Fills", "Bought", "Sold", "Traded value", "Not filled", "Held at the end")

LAYOUT = plot.layout(420, hovermode="closest", yaxis=plot.value_axis())
_PRICE = "#8a8f98"


@dataclass(frozen=True)
class AssetFills:
    """One asset's traces, a note on what they leave out, and its row in the table of trades."""

    name: str
    traces: list[Trace]
    note: str
    row: tuple[str, ...]


def ranked_assets(run: Run) -> list[str]:
    """Every asset that was traded or ordered, those with the most fills first."""
    traded = run.fills.group_by("asset").agg(pl.len().cast(pl.Int64).alias("fills"))
    ordered = run.orders.select("asset").unique()
    both = ordered.join(traded, on="asset", how="full", coalesce=True)
    return both.sort(-pl.col("fills").fill_null(0), "asset")["asset"].to_list()


def asset_fills(run: Run, asset: str, bars: pl.DataFrame | None) -> AssetFills:
    """Draw one asset; ``bars`` are in the bar schema, None to draw what the run itself knows."""
    fills = run.fills.filter(pl.col("asset") == asset)
    unfilled = run.orders.filter(pl.col("asset") == asset, pl.col("filled") == 0.0)
    drawn = fills.top_k(MAX_MARKERS, by=_VALUE).sort("timestamp")
    from_bars = bars is not None and asset in bars["symbol"]
    price = prices.from_bars(run, asset, bars) if from_bars else prices.from_run(run, asset, drawn)
    buys, sells = drawn.filter(pl.col("amount") > 0), drawn.filter(pl.col("amount") < 0)
    levels = _levels(run, unfilled, price)
    traces = [
        _line(price),
        _markers(run, buys, "Buy", "triangle-up", plot.BUY),
        _markers(run, sells, "Sell", "triangle-down", plot.SELL),
        _markers(run, levels.head(MAX_MARKERS), "Order, not filled", "x-open", plot.UNFILLED),
    ]
    note = _note(
        fills_left_out=fills.height - drawn.height,
        orders_left_out=unfilled.height - min(levels.height, MAX_MARKERS),
        from_bars=from_bars,
    )
    return AssetFills(asset, traces, note, _row(run, asset, fills, unfilled))


_VALUE = (pl.col("amount") * pl.col("price")).abs()


def _line(price: pl.DataFrame) -> Trace:
    known = price["price"].drop_nulls().len()
    return {
        "type": "scatter",
        "mode": "lines" if known > 1 else "markers",
        "name": "Price",
        "x": plot.instants(price["timestamp"]),
        "y": plot.numbers(price["price"]),
        "line": {"color": _PRICE, "width": 1.2},
        "marker": {"color": _PRICE, "size": 4},
        "hovertemplate": "%{y:,.4~f}<extra>Price</extra>",
    }


def _markers(run: Run, rows: pl.DataFrame, name: str, symbol: str, color: str) -> Trace:
    size, opacity = (9, 0.85) if rows.height <= FEW_MARKERS else (5, 0.6)
    marker = {"symbol": symbol, "size": size, "color": color, "opacity": opacity}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": plot.instants(rows["timestamp" if run.intraday else "session"]),
        "y": plot.numbers(rows["price"]),
        "customdata": plot.numbers(rows["amount"].abs()),
        "marker": marker,
        "hovertemplate": f"{name}: %{{customdata:,}} at %{{y:,.4~f}}<br>%{{x}}<extra></extra>",
    }


def _levels(run: Run, unfilled: pl.DataFrame, price: pl.DataFrame) -> pl.DataFrame:
    """Place unfilled orders at their limit or stop, or else at the last price before them."""
    time = "timestamp" if run.intraday else "session"
    known = price.drop_nulls().select(pl.col("timestamp").alias(time), "price")
    placed = unfilled.sort(time).join_asof(known, on=time)
    level = pl.coalesce("level", "price").alias("price")
    return placed.with_columns(level).filter(pl.col("price").is_not_null())


def _note(fills_left_out: int, orders_left_out: int, from_bars: bool) -> str:
    """Say what a chart does not show, in whole sentences."""
    sentences = []
    if not from_bars:
        sentences.append("The line shows closes while the asset was held, and fills.")
    if fills_left_out:
        drawn = f"The {count(MAX_MARKERS)} largest fills by value are drawn"
        sentences.append(f"{drawn}, {noun(fills_left_out, 'smaller fill')} left out.")
    if orders_left_out:
        sentences.append(f"{noun(orders_left_out, 'unfilled order')} left out.")
    return " ".join(sentences)


def _row(run: Run, asset: str, fills: pl.DataFrame, unfilled: pl.DataFrame) -> tuple[str, ...]:
    bought = fills.filter(pl.col("amount") > 0)["amount"].sum()
    sold = -fills.filter(pl.col("amount") < 0)["amount"].sum()
    last = pl.col("session") == run.sessions["session"][-1]
    held = run.positions.filter(pl.col("asset") == asset, last)["amount"].sum()
    return (
        asset,
        count(fills.height),
        quantity(bought),
        quantity(sold),
        number(fills.select(_VALUE.sum()).item(), 0),
        count(unfilled.height),
        quantity(held),
    )
