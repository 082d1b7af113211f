"""`AlphaVantageAdapter`'s old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    AlphaVantageAdapter,
)

__all__ = [
    "AlphaVantageAdapter",
]
