"""`AlpacaAdapter`'s old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    AlpacaAdapter,
)

__all__ = [
    "AlpacaAdapter",
]
