"""`DataCatalog`'s old place. See docs/old-names.md."""

from rustybt.legacy.catalog import (
    DataCatalog,
)

__all__ = [
    "DataCatalog",
]
