"""`YFinanceAdapter`'s old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    YFinanceAdapter,
)

__all__ = [
    "YFinanceAdapter",
]
