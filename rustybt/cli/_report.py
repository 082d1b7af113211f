"""The HTML report of a run."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rustybt.data.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_PACKAGES = ("jinja2", "plotly")

#: A larger bundle is not read again for the lines under the fills (about 100 MB in memory).
_MOST_BARS = 2_000_000


def require_report() -> None:
    """Raise `MissingExtraError` now, before the run, if no report could be written after it."""
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MissingExtraError(package, "report")


def write(perf: "pd.DataFrame", path: Path) -> None:
    """Write the report of a run, titled after its algorithm."""
    from rustybt.compat.report import write_report

    run = perf.attrs["rustybt"]
    title = f"{run['algorithm']} on {run['bundle']}"
    write_report(perf, path, title=title, prices=_prices(run))


def _prices(run: Mapping[str, Any]) -> "pl.DataFrame | None":
    if run["format"] != "rustybt":
        return None
    from rustybt.data.bundles.bundle import open_bundle
    from rustybt.data.bundles.storage import version_time

    bundle = open_bundle(run["bundle"], version_time(run["version"]))
    if bundle.metadata.row_count > _MOST_BARS or not bundle.has("daily"):
        return None
    return bundle.bars("daily")
