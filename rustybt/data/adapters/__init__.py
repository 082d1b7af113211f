"""The adapters' old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    AlpacaAdapter,
    AlphaVantageAdapter,
    CCXTAdapter,
    CSVAdapter,
    CSVConfig,
    DataAdapterError,
    PolygonAdapter,
    SchemaMapping,
    YFinanceAdapter,
)

__all__ = [
    "AlpacaAdapter",
    "AlphaVantageAdapter",
    "CCXTAdapter",
    "CSVAdapter",
    "CSVConfig",
    "DataAdapterError",
    "PolygonAdapter",
    "SchemaMapping",
    "YFinanceAdapter",
]
