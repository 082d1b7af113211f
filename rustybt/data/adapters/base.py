"""The old place of the adapters' errors. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    DataAdapterError,
    InvalidDataError,
    NetworkError,
    RateLimitError,
    ValidationError,
)

__all__ = [
    "DataAdapterError",
    "InvalidDataError",
    "NetworkError",
    "RateLimitError",
    "ValidationError",
]
