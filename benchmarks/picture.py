"""``python -m benchmarks.picture FIGURES.json PICTURE.svg``: draw what was measured."""

import argparse
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

_LESS = "#2f6f9f"
_MORE = "#b5533c"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratios zipline / rustybt on a logarithmic scale, a panel for each group.

    Parameters
    ----------
    rows : list of dict
        With ``group``, ``case``, ``zipline``, ``rustybt`` and ``unit``, in the order to draw.
    path : Path
        An SVG; the same rows give the same bytes.
    """
    groups = [(name, list(each)) for name, each in groupby(rows, key=lambda row: row["group"])]
    figure = Figure(figsize=(8.5, 0.27 * len(rows) + 0.55 * len(groups)), layout="constrained")
    heights = [len(each) + 1 for _, each in groups]
    panels = figure.subplots(len(groups), height_ratios=heights, sharex=True, squeeze=False)
    for axes, (name, each) in zip(panels[:, 0], groups, strict=True):
        _panel(axes, name, each)
    last = panels[-1, 0]
    last.set_xlabel("times less than zipline-reloaded 3.2.1 (logarithmic)")
    last.set_xlim(left=0.5, right=3 * max(row["zipline"] / row["rustybt"] for row in rows))
    with mpl.rc_context({"svg.hashsalt": "rustybt", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(axes: Axes, name: str, rows: list[dict[str, Any]]) -> None:
    ratios = [row["zipline"] / row["rustybt"] for row in rows]
    bars = axes.barh(
        [row["case"] for row in rows],
        [ratio - 1 for ratio in ratios],
        left=1,
        color=[_LESS if ratio >= 1 else _MORE for ratio in ratios],
        height=0.7,
    )
    axes.bar_label(
        bars,
        [f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.1f}x" for ratio in ratios],
        padding=3,
        fontsize=8,
    )
    axes.axvline(1, color="#555555", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(name, loc="left", fontsize=9, fontweight="bold")
    axes.tick_params(labelsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def main() -> None:
    """Draw the picture of a file of figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    draw(json.loads(given.figures.read_text())["rows"], given.picture)


if __name__ == "__main__":
    main()
