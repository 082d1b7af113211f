"""`ParquetMetadataCatalog`'s old place. See docs/old-names.md."""

from rustybt.legacy.metadata_catalog import (
    ParquetMetadataCatalog,
    calculate_file_checksum,
)

__all__ = [
    "ParquetMetadataCatalog",
    "calculate_file_checksum",
]
