"""Names of what zipline's writers leave in the directory of a version."""

from zipline.assets import ASSET_DB_VERSION

ASSETS = f"assets-{ASSET_DB_VERSION}.sqlite"
ADJUSTMENTS = "adjustments.sqlite"
#: `BundleMetadata.source_type` of a version that was written through zipline's writers.
SOURCE_TYPE = "zipline"
