"""All charts of a page with the time axis they share, packed for its script."""

import base64
import gzip
import json
from datetime import timedelta
from typing import Any

import polars as pl

from rustybt.compat.report import charts, fills, plot
from rustybt.compat.report.plot import instants
from rustybt.compat.report.run import Run

#: Up to this many sessions are ticked one by one.
FEW_SESSIONS = 7


def pack(content: str) -> str:
    """Compress text for the page, which unpacks it with the browser's DecompressionStream."""
    return base64.b64encode(gzip.compress(content.encode(), mtime=0)).decode()


def drawn(run: Run, prices: pl.DataFrame | None) -> dict[str, Any]:
    """Everything in the page that charts draw, and what they leave out."""
    ranked = fills.ranked_assets(run)
    assets = [fills.asset_fills(run, asset, prices) for asset in ranked[: fills.MAX_ASSETS]]
    recorded = charts.recorded_charts(run)
    specs = {
        "shared": _shared(run),
        "time": _session_axis(run),
        "charts": {
            "equity": charts.equity_chart(run),
            "positions": charts.positions_chart(run),
            **{f"recorded-{i}": chart for i, chart in enumerate(recorded)},
        },
        "fills": {
            "layout": fills.LAYOUT,
            "time": _fills_axis(run),
            "assets": [asset.traces for asset in assets],
        },
    }
    return {
        "assets": assets,
        "assets_left_out": len(ranked) - len(assets),
        "fill_columns": fills.COLUMNS,
        "positions_left_out": charts.left_out_of_positions(run),
        "recorded": len(recorded),
        "recorded_left_out": charts.left_out_of_recorded(run),
        "charts": pack(json.dumps(specs, allow_nan=False, separators=(",", ":"))),
    }


def _shared(run: Run) -> dict[str, list[str]]:
    days = instants(run.sessions["session"])
    before = run.sessions["session"][0] - timedelta(days=1)
    return {plot.SESSIONS: days, plot.FROM_START: [*instants(pl.Series([before])), *days]}


def _session_axis(run: Run) -> dict[str, list[str]]:
    """The span of a time axis, the same in all charts so that they line up on the page.

    A handful of sessions are ticked one by one: plotly would tick their hours.
    """
    days = run.sessions["session"]
    pad = timedelta(days=1 + (days[-1] - days[0]).days // 200)
    span = {"range": instants(pl.Series([days[0] - pad, days[-1] + pad]))}
    return span | ({"tickvals": instants(days)} if len(days) <= FEW_SESSIONS else {})


def _fills_axis(run: Run) -> dict[str, list[str]]:
    """The span of the fills' axis: of an intraday run, from the first fill to the last close."""
    if not run.intraday:
        return _session_axis(run)
    start, end = run.fills["timestamp"].min(), run.sessions["close"][-1]
    pad = (end - start) / 40
    return {"range": instants(pl.Series([start - pad, end + pad]))}
