"""The two sides of every comparison: zipline-reloaded on bcolz, and rustybt."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from zipline.data.bundles import core
from zipline.data.bundles.csvdir import csvdir_equities
from zipline.data.data_portal import DataPortal as StockPortal
from zipline.utils.run_algo import run_algorithm as stock_run

import rustybt
from benchmarks.data import DAILY, MINUTE
from rustybt.compat.bundles import load
from rustybt.compat.engine.portal import DataPortal
from rustybt.data.bundles.ingest import ingest
from rustybt.data.sources.csv import CSVDataSource

warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Side:
    """One of the two: how it ingests, opens, and runs.

    Attributes
    ----------
    name : str
    ingest : callable of (csvdir, bundle name, kind)
    load : callable of bundle name
    portal : type
    run : callable with `run_algorithm`'s keyword arguments
    """

    name: str
    ingest: Callable[[Path, str, str], None]
    load: Callable[[str], Any]
    portal: type
    run: Callable[..., pd.DataFrame]


def _stock_ingest(directory: Path, bundle: str, kind: str) -> None:
    first, last = DAILY if kind == "daily" else MINUTE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        core.register(
            bundle,
            csvdir_equities([kind], str(directory)),
            calendar_name="XNYS",
            start_session=pd.Timestamp(first),
            end_session=pd.Timestamp(last),
        )
        core.ingest(bundle, os.environ)


def _our_ingest(directory: Path, bundle: str, kind: str) -> None:
    frequency = "1d" if kind == "daily" else "1m"
    ingest(CSVDataSource(directory), bundle, frequency=frequency, precision="bcolz")


STOCK = Side("zipline-reloaded", _stock_ingest, core.load, StockPortal, stock_run)
OURS = Side("rustybt", _our_ingest, load, DataPortal, rustybt.run_algorithm)
