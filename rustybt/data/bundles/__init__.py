"""Bundles: directories of versions, each complete, checksummed and unchanging."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle, open_bundle
    from rustybt.data.bundles.ingest import IngestResult, ingest_async
    from rustybt.data.bundles.metadata import BundleMetadata
    from rustybt.data.bundles.storage import list_bundles

__all__ = [
    "Bundle",
    "BundleMetadata",
    "IngestResult",
    "ingest_async",
    "list_bundles",
    "open_bundle",
]

_HOMES = {
    "Bundle": "bundle",
    "BundleMetadata": "metadata",
    "IngestResult": "ingest",
    "ingest_async": "ingest",
    "list_bundles": "storage",
    "open_bundle": "bundle",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"rustybt.data.bundles.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'rustybt.data.bundles' has no attribute {name!r}")
