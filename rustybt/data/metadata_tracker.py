"""`BundleMetadataTracker`'s old place. See docs/old-names.md."""

from rustybt.legacy.metadata_tracker import (
    BundleMetadataTracker,
    track_api_bundle_metadata,
    track_csv_bundle_metadata,
)

__all__ = [
    "BundleMetadataTracker",
    "track_api_bundle_metadata",
    "track_csv_bundle_metadata",
]
