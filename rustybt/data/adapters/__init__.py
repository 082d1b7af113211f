"""The adapters' old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    AlpacaAdapter,
    AlphaVantageAdapter,
    CCXTAdapter,
    CSVAdapter,
    CSVConfig,
    DataAdapterError,
    InvalidDataError,
    NetworkError,
    PolygonAdapter,
    RateLimitError,
    SchemaMapping,
    ValidationError,
    YFinanceAdapter,
)

__all__ = [
    "AlpacaAdapter",
    "AlphaVantageAdapter",
    "CCXTAdapter",
    "CSVAdapter",
    "CSVConfig",
    "DataAdapterError",
    "InvalidDataError",
    "NetworkError",
    "PolygonAdapter",
    "RateLimitError",
    "SchemaMapping",
    "ValidationError",
    "YFinanceAdapter",
]
