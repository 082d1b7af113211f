"""An open bundle: one version, ready to read."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rustybt.data.bundles import _files, storage
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.panel import Panel, empty_panel, open_panel
from rustybt.data.errors import FrequencyError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from rustybt.data.adjustments import Events
    from rustybt.data.provenance import Provenance

# Nothing here imports Polars before it is asked for a frame: a run of an algorithm never does.


@dataclass(frozen=True)
class Bundle:
    """One version of a bundle.

    Attributes
    ----------
    version : storage.Version
    metadata : BundleMetadata
    """

    version: storage.Version
    metadata: BundleMetadata

    @cached_property
    def assets(self) -> "pl.DataFrame":
        """``sid``, ``symbol``, ``asset_name``, ``exchange``, ``start_date``, ``end_date``, ..."""
        from rustybt.data.bundles import _tables, _write

        return _tables.table(self.version, _write.ASSETS_FILE)

    @cached_property
    def renamed(self) -> "pl.DataFrame":
        """Names that assets had before: ``sid``, ``ticker``, ``until`` (a session, included)."""
        from rustybt.data.bundles import _tables

        return _tables.renamed(self.version)

    @cached_property
    def events(self) -> "Events":
        """The corporate actions."""
        from rustybt.data.bundles import _tables

        return _tables.events(self.version)

    @cached_property
    def coverage(self) -> "pl.DataFrame":
        """What is not there and why; see `rustybt.data.bundles.coverage`."""
        from rustybt.data.bundles import _tables, coverage

        return _tables.table(self.version, coverage.FILE)

    @cached_property
    def provenance(self) -> "Provenance":
        """Who supplied which bars, and where others said otherwise; empty with a single source."""
        from rustybt.data.provenance import Provenance, read_provenance

        return read_provenance(self.version.path) or Provenance()

    @cached_property
    def quality_findings(self) -> "pl.DataFrame":
        """Suspect bars; see `rustybt.data.bundles.quality`."""
        from rustybt.data.bundles import _tables, quality

        return _tables.table(self.version, quality.FILE)

    def has(self, kind: str) -> bool:
        """Whether there are bars of a kind, ``daily`` or ``minute``."""
        return (self.version.path / kind).is_dir()

    def files(self, kind: str, *, every_byte: bool = False) -> list[Path]:
        """The Parquet files of a kind, the earliest period first.

        Parameters
        ----------
        every_byte : bool
            Whether to check every byte of them.
        """
        # Those that were written, not whatever lies there.
        names = _files.names(self.version.path)
        own = [name for name in names if name.startswith(f"{kind}/")]
        if every_byte:
            return [storage.read_file(self.version, name) for name in own]
        return [self.version.path / name for name in own]

    def bars(self, kind: str = "daily") -> "pl.DataFrame":
        """Every bar of a kind, ``daily`` or ``minute``, in the bar schema.

        Raises
        ------
        FrequencyError
            If the bundle has none of that kind.
        """
        if not self.has(kind):
            raise FrequencyError(
                f"bundle {self.metadata.bundle_name!r} has no {kind} bars; "
                f"it has {self.metadata.frequency}"
            )
        from rustybt.data.bundles import _tables

        return _tables.bars(self, kind)

    def scan(self, kind: str = "daily") -> "pl.LazyFrame":
        """Every bar of a kind as stored, in the bar schema, lazily."""
        from rustybt.data.bundles import views

        return views.scan(self, kind)

    def to_polars(
        self,
        symbols: Sequence[str] | None = None,
        *,
        field: str | None = None,
        **selection: Any,
    ) -> "pl.DataFrame":
        """Bars as an algorithm sees them.

        Parameters
        ----------
        symbols : sequence of str, optional
            All, if not given.
        field : str, optional
            ``open``, ``high``, ``low``, ``close`` or ``volume``: a wide frame of it, with a column
            a symbol. Without it a long frame in the bar schema.
        **selection
            ``start``, ``end``, ``kind`` and ``as_of`` of `rustybt.data.bundles.views.Selection`.

        Raises
        ------
        UnknownSymbolError, FrequencyError, DateRangeError
            If the bundle has no such symbol or bars, or the range is reversed.
        """
        from rustybt.data.bundles import views

        chosen = views.Selection(symbols, **selection)
        return views.long(self, chosen) if field is None else views.wide(self, chosen, field)

    def to_pandas(
        self,
        symbols: Sequence[str] | None = None,
        *,
        field: str | None = None,
        **selection: Any,
    ) -> "pd.DataFrame":
        """Bars as an algorithm sees them, in pandas; see `to_polars`.

        Returns
        -------
        pandas.DataFrame
            Indexed by session (naive) or instant (UTC), a column a symbol; without `field`
            indexed by symbol and timestamp, a column a field.
        """
        from rustybt.data.bundles import views

        frame = self.to_polars(symbols, field=field, **selection)
        return views.to_pandas(frame, "long" if field is None else "wide")

    def panel(self, kind: str) -> Panel:
        """The bars of a kind as dense arrays; empty where there are none."""
        if not self.has(kind):
            return empty_panel()
        return open_panel(
            self.version.derived(f"panel/{kind}", lambda into: self._build(kind, into))
        )

    def _build(self, kind: str, directory: Path) -> None:
        from rustybt.data.bundles import _tables

        _tables.build_panel(self, kind, directory)


def open_bundle(
    name: str, timestamp: object = None, environ: Mapping[str, str] = os.environ
) -> Bundle:
    """Open a bundle's newest version, or its newest one as of `timestamp`.

    Raises
    ------
    UnknownBundleError
        If there is no such version.
    CorruptVersionError
        If the version is damaged.
    """
    return _opened(storage.find_version(name, timestamp, environ))


def open_version(version: storage.Version) -> Bundle:
    """Open a version that was found already.

    Raises
    ------
    CorruptVersionError
        If it is damaged.
    """
    storage.require_sound(version)
    return _opened(version)


def _opened(version: storage.Version) -> Bundle:
    return Bundle(version, BundleMetadata.of(version))
