"""`PolygonAdapter`'s old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    PolygonAdapter,
)

__all__ = [
    "PolygonAdapter",
]
