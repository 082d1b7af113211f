"""Putting the page together: template, figures, tables, charts, and plotly itself."""

import importlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from rustybt.compat.report import provenance, text
from rustybt.compat.report.drawn import drawn, pack
from rustybt.compat.report.figures import full_colour, headline, monthly_returns
from rustybt.compat.report.run import read_perf
from rustybt.data.errors import MissingExtraError


def write_report(
    perf: pd.DataFrame, path: Path, *, title: str, prices: pl.DataFrame | None = None
) -> Path:
    """Write the report of a run to a file, creating its folder.

    Takes what `render_report` takes, and raises what it raises.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    path = Path(path)
    page = render_report(perf, title=title, prices=prices)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def render_report(perf: pd.DataFrame, *, title: str, prices: pl.DataFrame | None = None) -> str:
    """Render the report of a run as one HTML page.

    Parameters
    ----------
    perf : pandas.DataFrame
        What `run_algorithm` returns. Provenance is read from ``perf.attrs["rustybt"]``; what
        is not there is shown as not recorded.
    title : str
        The page's heading.
    prices : polars.DataFrame, optional
        Bars (``symbol``, ``timestamp``, ``close``; unadjusted) for the lines under the fills.
        Without them the lines show what the run knows: closes while an asset was held, and fills.

    Raises
    ------
    MissingExtraError
        The extra ``report`` is not installed.
    ValueError
        ``perf`` has no rows or is no performance frame.
    """
    jinja2, plotly = _require("jinja2"), _require("plotly.offline")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(noun=text.noun, percent=text.percent)
    run, recorded = read_perf(perf), perf.attrs.get("rustybt") or {}
    years = monthly_returns(run)
    return environment.from_string(_resource("page.html.j2")).render(
        title=title,
        run=run,
        figures=headline(run),
        years=years,
        full_colour=full_colour(years),
        algorithm=recorded.get("algorithm"),
        tables=provenance.tables(run, recorded),
        assumptions=provenance.assumptions(recorded),
        style=_resource("page.css"),
        script=_resource("page.js"),
        plotly=pack(plotly.get_plotlyjs()),
        **drawn(run, prices),
    )


def _require(module: str) -> Any:
    """Import a module of the extra ``report``."""
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtraError(package=package, extra="report") from error
    return importlib.import_module(module)


def _resource(name: str) -> str:
    return files("rustybt.compat.report").joinpath(name).read_text(encoding="utf-8")
