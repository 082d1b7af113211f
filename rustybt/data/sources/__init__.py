"""Data sources: where bars come from."""

from importlib import import_module
from typing import TYPE_CHECKING

from rustybt.data.sources.base import DataSource, DataSourceMetadata
from rustybt.data.sources.registry import DataSourceRegistry, SourceInfo

if TYPE_CHECKING:
    from rustybt.data.sources.alpaca import AlpacaDataSource
    from rustybt.data.sources.alphavantage import AlphaVantageDataSource
    from rustybt.data.sources.cached_source import CachedDataSource
    from rustybt.data.sources.ccxt import CCXTDataSource
    from rustybt.data.sources.composite import CompositeDataSource, Supplier
    from rustybt.data.sources.csv import CSVDataSource
    from rustybt.data.sources.polygon import MassiveDataSource, PolygonDataSource
    from rustybt.data.sources.yfinance import YFinanceDataSource

__all__ = [
    "AlpacaDataSource",
    "AlphaVantageDataSource",
    "CCXTDataSource",
    "CSVDataSource",
    "CachedDataSource",
    "CompositeDataSource",
    "DataSource",
    "DataSourceMetadata",
    "DataSourceRegistry",
    "MassiveDataSource",
    "PolygonDataSource",
    "SourceInfo",
    "Supplier",
    "YFinanceDataSource",
]

_ON_USE = {
    "AlpacaDataSource": "rustybt.data.sources.alpaca",
    "AlphaVantageDataSource": "rustybt.data.sources.alphavantage",
    "CCXTDataSource": "rustybt.data.sources.ccxt",
    "CSVDataSource": "rustybt.data.sources.csv",
    "CompositeDataSource": "rustybt.data.sources.composite",
    "Supplier": "rustybt.data.sources.composite",
    "CachedDataSource": "rustybt.data.sources.cached_source",
    "MassiveDataSource": "rustybt.data.sources.polygon",
    "PolygonDataSource": "rustybt.data.sources.polygon",
    "YFinanceDataSource": "rustybt.data.sources.yfinance",
}


def __getattr__(name: str) -> object:
    if name in _ON_USE:
        return getattr(import_module(_ON_USE[name]), name)
    raise AttributeError(f"module 'rustybt.data.sources' has no attribute {name!r}")
