"""Charts over the sessions: equity and drawdown, positions and leverage, recorded variables."""

import html
from collections.abc import Iterator
from typing import Any

import polars as pl

from rustybt.compat.report import plot
from rustybt.compat.report.figures import drawdowns
from rustybt.compat.report.plot import Chart, Trace
from rustybt.compat.report.run import Run

#: Assets drawn one by one in the chart of positions; the rest are summed.
MAX_HELD = len(plot.SERIES)
MAX_RECORDED = 24
#: Recorded variables share a chart while the largest is at most this many times the smallest.
SAME_SCALE = 5.0
_SPLIT = {"upper": [0.42, 1.0], "lower": [0.0, 0.32]}


def equity_chart(run: Run) -> Chart:
    """Equity against the benchmark, both from the capital base, and the falls below the peak."""
    days = run.sessions
    traces = [_from_start("Portfolio", days["value"], run.capital_base, plot.PORTFOLIO)]
    if run.has_benchmark:
        grown = run.capital_base * days["benchmark"]
        traces.append(_from_start("Benchmark", grown, run.capital_base, plot.BENCHMARK))
        fall = drawdowns(days["benchmark"])
        traces.append(_from_start("Benchmark drawdown", fall, 0.0, plot.BENCHMARK, **_LOWER))
    fall = drawdowns(days["growth"])
    area = {"fill": "tozeroy", "fillcolor": "rgba(213,101,47,0.18)"}
    traces.append(_from_start("Drawdown", fall, 0.0, plot.LOSS, **_LOWER, **area))
    fell = any((value or 0.0) < 0.0 for trace in traces if "yaxis" in trace for value in trace["y"])
    lower = {"tickformat": ".1~%", "hoverformat": ".2%", "nticks": 4}
    lower |= {} if fell else {"range": [-0.1, 0.0]}
    return _two_panels(traces, "Drawdown from the peak", lower)


_LOWER = {"yaxis": "y2", "showlegend": False}


def _from_start(name: str, values: pl.Series, start: float, color: str, **more: Any) -> Trace:
    return plot.line(name, pl.Series([start]).append(values), color, x=plot.FROM_START, **more)


def positions_chart(run: Run) -> Chart | None:
    """Market value of each asset, stacked, and leverage; None if nothing was ever held."""
    if run.positions.is_empty():
        return None
    traces = list(_held(run))
    gross, net = run.sessions["gross"], run.sessions["net"]
    traces.append(plot.line("Gross leverage", gross, plot.LOSS, **_LOWER))
    traces.append(plot.line("Net leverage", net, plot.PORTFOLIO, **_LOWER))
    return _two_panels(traces, "Leverage: gross (orange) and net (blue)", {"nticks": 4})


def recorded_charts(run: Run) -> list[Chart]:
    """Recorded variables, those of a similar size together."""
    names = list(run.recorded)[:MAX_RECORDED]
    return [_recorded_chart(run, group) for group in _by_scale(run, names)]


def left_out_of_positions(run: Run) -> int:
    """How many assets the chart of positions shows only as a sum."""
    return max(0, run.positions["asset"].n_unique() - MAX_HELD)


def left_out_of_recorded(run: Run) -> int:
    """How many numeric recorded variables have no chart."""
    return max(0, len(run.recorded) - MAX_RECORDED)


def _two_panels(traces: list[Trace], below: str, lower: dict[str, Any]) -> Chart:
    layout = plot.layout(
        470,
        xaxis=plot.time_axis(anchor="y2"),
        yaxis=plot.value_axis(domain=_SPLIT["upper"]),
        yaxis2=plot.value_axis(domain=_SPLIT["lower"], **lower),
        annotations=[plot.caption(below, _SPLIT["lower"][1])],
    )
    return {"data": traces, "layout": layout}


def _held(run: Run) -> Iterator[Trace]:
    """One area an asset; shorts stack downwards from zero, apart from the longs."""
    held = run.positions
    largest = held.group_by("asset").agg(pl.col("value").abs().max()).sort("value", "asset")
    ranked = largest["asset"].to_list()[::-1]
    for name, color in zip(ranked, plot.SERIES, strict=False):
        yield from _areas(run, held.filter(pl.col("asset") == name), name, color)
    if rest := ranked[MAX_HELD:]:
        others = held.filter(pl.col("asset").is_in(rest))
        yield from _areas(run, others, f"{len(rest)} others", plot.REST)


def _areas(run: Run, held: pl.DataFrame, name: str, color: str) -> Iterator[Trace]:
    sides = {"long": held.filter(pl.col("value") > 0), "short": held.filter(pl.col("value") < 0)}
    drawn = [side for side, rows in sides.items() if not rows.is_empty()]
    for side in drawn:
        by_session = sides[side].group_by("session").agg(pl.col("value").sum())
        days = run.sessions.select("session")
        value = days.join(by_session, on="session", how="left", maintain_order="left")["value"]
        value = value.fill_null(0.0)
        yield plot.line(
            html.escape(name, quote=False),
            value,
            color,
            stackgroup=side,
            legendgroup=name,
            showlegend=side == drawn[0],
            line={"color": color, "width": 0.5},
        )


def _by_scale(run: Run, names: list[str]) -> Iterator[list[str]]:
    sizes = {name: run.recorded[name].abs().max() or 0.0 for name in names}
    group: list[str] = []
    for name in sorted(names, key=lambda name: -sizes[name]):
        if group and sizes[group[0]] > SAME_SCALE * sizes[name]:
            yield group
            group = []
        group.append(name)
    if group:
        yield group


def _recorded_chart(run: Run, names: list[str]) -> Chart:
    colors = [plot.SERIES[i % len(plot.SERIES)] for i in range(len(names))]
    traces = [
        plot.line(html.escape(name, quote=False), run.recorded[name], color)
        for name, color in zip(names, colors, strict=True)
    ]
    axis = plot.value_axis(hoverformat=",.6~g")
    return {"data": traces, "layout": plot.layout(250, yaxis=axis)}
