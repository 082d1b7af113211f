"""The two sides of every comparison: zipline-reloaded on bcolz, and rustybt."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zipline.data.bundles import core
from zipline.data.data_portal import DataPortal as StockPortal
from zipline.protocol import BarData as StockBarData

from rustybt.compat import bundles
from rustybt.compat.engine.bar_data import BarData
from rustybt.compat.engine.portal import DataPortal


@dataclass(frozen=True)
class Side:
    """One of the two: how it ingests, opens, and reads.

    Attributes
    ----------
    name : str
    ingest, load : callable of bundle name and environment
        Of a registered bundle.
    portal, bar_data : type
    """

    name: str
    ingest: Callable[..., Any]
    load: Callable[..., Any]
    portal: type
    bar_data: type


STOCK = Side("zipline", core.ingest, core.load, StockPortal, StockBarData)
OURS = Side("rustybt", bundles.ingest, bundles.load, DataPortal, BarData)
SIDES = (STOCK, OURS)
