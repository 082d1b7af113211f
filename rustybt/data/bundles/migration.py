"""`BundleMigrator`'s old place. See docs/old-names.md."""

from rustybt.legacy.bundle_migration import (
    BundleMigrator,
    MigrationError,
    migrate_bundle,
)

__all__ = [
    "BundleMigrator",
    "MigrationError",
    "migrate_bundle",
]
