"""`CSVAdapter`'s old place. See docs/old-names.md."""

from rustybt.legacy.adapters import (
    CSVAdapter,
    CSVConfig,
    SchemaMapping,
)

__all__ = [
    "CSVAdapter",
    "CSVConfig",
    "SchemaMapping",
]
