"""What every chart shares: colours, axes, layout, and the shape of a trace.

A chart is a dict of plotly's ``data`` and ``layout``, built by hand because the page only needs
the JSON. Where a trace's ``x`` is the string ``SESSIONS`` or ``FROM_START`` the page puts in the
one list of sessions that all charts share, the latter with the day before the first session.
"""

from datetime import date, datetime
from typing import Any

import polars as pl

Trace = dict[str, Any]
Chart = dict[str, Any]

SESSIONS = "sessions"
FROM_START = "from_start"

# Mid-tones that keep their contrast on white and on dark, told apart by people with any of the
# three kinds of colour blindness (after Okabe and Ito, https://jfly.uni-koeln.de/color/).
PORTFOLIO = "#2f7fc1"
BENCHMARK = "#949494"
LOSS = "#d5652f"
REST = "rgba(148,148,148,0.4)"
BUY, SELL, UNFILLED = PORTFOLIO, LOSS, "#949494"
SERIES = (
    "#2f7fc1",
    "#e39a1f",
    "#1f9e83",
    "#b5679f",
    "#62b6e6",
    "#d5652f",
    "#7a6fd0",
    "#8f8f24",
    "#a3624b",
    "#5b8a72",
)
_TEXT = "#767b84"
_GRID = "rgba(128,128,128,0.18)"
_CLEAR = "rgba(0,0,0,0)"
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

#: A chart's numbers carry this many digits; the tables are computed from the full ones.
SIGNIFICANT_DIGITS = 10


def numbers(values: pl.Series) -> list[float | None]:
    """Round for display, and turn what JSON cannot say into null."""
    finite = pl.select(pl.when(values.is_finite()).then(values)).to_series()
    return finite.round_sig_figs(SIGNIFICANT_DIGITS).to_list()


def instants(values: pl.Series) -> list[str]:
    """Write dates and UTC instants as plotly reads them."""
    return [_instant(value) for value in values]


def _instant(value: date | datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S" if isinstance(value, datetime) else "%Y-%m-%d")


def line(name: str, y: pl.Series, color: str, **more: Any) -> Trace:
    """Draw one value a session; a single session is a dot, as one point makes no line."""
    return {
        "type": "scatter",
        "mode": "lines" if len(y) > 1 else "markers",
        "name": name,
        "x": SESSIONS,
        "y": numbers(y),
        "line": {"color": color, "width": 1.5},
        "marker": {"color": color},
        **more,
    }


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Lay out a chart on a shared look; ``more`` holds its axes."""
    return {
        "height": height,
        "margin": {"l": 58, "r": 12, "t": 34, "b": 46},
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "font": {"family": _FONT, "size": 12, "color": _TEXT},
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {"namelength": -1},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"},
        "modebar": {"bgcolor": _CLEAR, "color": BENCHMARK, "activecolor": _TEXT},
        "showlegend": True,
        "xaxis": time_axis(),
        **more,
    }


def time_axis(**more: Any) -> dict[str, Any]:
    """Axis of dates."""
    return {
        "type": "date",
        "gridcolor": _GRID,
        "showgrid": False,
        "linecolor": _GRID,
        "ticks": "outside",
        "tickcolor": _GRID,
        "hoverformat": "%a %-d %b %Y",
        **more,
    }


def value_axis(**more: Any) -> dict[str, Any]:
    """Axis of values."""
    return {
        "gridcolor": _GRID,
        "zerolinecolor": "rgba(128,128,128,0.45)",
        "automargin": True,
        "hoverformat": ",.2f",
        "nticks": 6,
        **more,
    }


def caption(text: str, y: float) -> dict[str, Any]:
    """Name a lower panel, above its left edge; ``y`` is the panel's top in paper coordinates."""
    return {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": y,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
    }
