"""An open bundle: one version, ready to read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events
from rustybt.data.bundles import _write, coverage, quality, storage
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.panel import Panel, empty_panel, open_panel, write_panel


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
    def assets(self) -> pl.DataFrame:
        """``sid``, ``symbol``, ``asset_name``, ``exchange``, ``start_date``, ``end_date``, ..."""
        return self._table(_write.ASSETS_FILE)

    @cached_property
    def events(self) -> Events:
        """The corporate actions."""
        return Events(**{kind: self._table(f"{kind}.parquet") for kind in EVENT_SCHEMAS})

    @cached_property
    def coverage(self) -> pl.DataFrame:
        """What is not there and why; see `rustybt.data.bundles.coverage`."""
        return self._table(coverage.FILE)

    @cached_property
    def quality_findings(self) -> pl.DataFrame:
        """Suspect bars; see `rustybt.data.bundles.quality`."""
        return self._table(quality.FILE)

    def _table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(storage.read_file(self.version, name))

    def has(self, kind: str) -> bool:
        """Whether there are bars of a kind, ``daily`` or ``minute``."""
        return (self.version.path / kind).is_dir()

    def files(self, kind: str) -> list[Path]:
        """The Parquet files of a kind, the earliest period first."""
        return sorted((self.version.path / kind).glob("*.parquet"))

    def bars(self, kind: str = "daily") -> pl.DataFrame:
        """Every bar of a kind, in the bar schema."""
        frames = [read_bars(path) for path in self.files(kind)]
        symbols = self.assets.select("sid", "symbol")
        joined = pl.concat(frames).join(symbols, on="sid").drop("sid")
        ordered = joined.select("symbol", "timestamp", pl.exclude("symbol", "timestamp"))
        return ordered.sort("symbol", "timestamp")

    def panel(self, kind: str) -> Panel:
        """The bars of a kind as dense arrays; empty where there are none."""
        if not self.has(kind):
            return empty_panel()
        return open_panel(
            self.version.derived(f"panel/{kind}", lambda into: self._build(kind, into))
        )

    def _build(self, kind: str, directory: Path) -> None:
        first, last = self.metadata.start_date.date(), self.metadata.end_date.date()
        labels = _write.panel_labels(kind, self.metadata.calendar, first, last)
        sids = np.unique(np.concatenate([read_bars(path, ())["sid"] for path in self.files(kind)]))
        parts = (read_bars(path) for path in self.files(kind))
        write_panel(directory, labels, sids, parts, self.metadata.precision)


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
    version = storage.find_version(name, timestamp, environ)
    return Bundle(version, BundleMetadata.of(version))
