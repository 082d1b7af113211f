"""The price line of one asset: from bars where they are given, else from the run itself.

A run whose fills all happen at closes is drawn on sessions (Date); one that trades within
sessions is drawn on instants (Datetime UTC), its sessions' prices at their closes.
"""

import polars as pl

from rustybt.compat.report.run import Run

#: Bars drawn for an asset: where there are more, the last of each session.
MAX_BARS = 10_000


def from_bars(run: Run, asset: str, prices: pl.DataFrame) -> pl.DataFrame:
    """Cut an asset's bars down to the run: ``timestamp`` (Date or Datetime UTC), ``price``."""
    days = run.sessions["session"]
    bars = (
        prices.filter(pl.col("symbol") == asset)
        .select("timestamp", pl.col("close").alias("price"), _session(prices).alias("session"))
        .filter(pl.col("session").is_between(days[0], days[-1]))
        .sort("timestamp")
    )
    if _of_sessions(prices) or not run.intraday or bars.height > MAX_BARS:
        bars = bars.group_by("session", maintain_order=True).agg(pl.col("price").last())
        return _at_sessions(run, bars)
    return bars.select("timestamp", "price")


def from_run(run: Run, asset: str, fills: pl.DataFrame) -> pl.DataFrame:
    """Collect what the run knows of a price: closes while it is held, fills, null in between.

    Returns
    -------
    polars.DataFrame
        ``timestamp`` (Date or Datetime UTC) and ``price``.
    """
    held = run.positions.filter(pl.col("asset") == asset).select("session", "price")
    if not run.intraday:
        last_fill = fills.group_by("session", maintain_order=True).agg(pl.col("price").last())
        held = pl.concat([held, last_fill]).unique("session", keep="first")
    closes = run.sessions.select("session").join(held, on="session", how="left")
    points = _at_sessions(run, closes)
    if run.intraday:
        points = pl.concat([points, fills.select("timestamp", "price")])
    return points.sort("timestamp")


def _at_sessions(run: Run, prices: pl.DataFrame) -> pl.DataFrame:
    if not run.intraday:
        return prices.select(pl.col("session").alias("timestamp"), "price").sort("timestamp")
    closes = run.sessions.select("session", pl.col("close").alias("timestamp"))
    return prices.join(closes, on="session").select("timestamp", "price").sort("timestamp")


def _of_sessions(prices: pl.DataFrame) -> bool:
    return prices.schema["timestamp"] == pl.Date


def _session(prices: pl.DataFrame) -> pl.Expr:
    """The session a bar ends in; midnight UTC belongs to the date before it."""
    end = pl.col("timestamp")
    return end if _of_sessions(prices) else end.dt.offset_by("-1m").dt.date()
