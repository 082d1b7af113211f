"""`CCXTAdapter`'s old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    CCXTAdapter,
)

__all__ = [
    "CCXTAdapter",
]
