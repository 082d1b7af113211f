"""Where zipline's asset and adjustment databases of a bundle are."""

from pathlib import Path
from typing import Any

from rustybt.compat._layout import ASSETS, SOURCE_TYPE
from rustybt.data.bundles.bundle import Bundle


def databases(bundle: Bundle, session_reader: Any) -> Path:
    """The directory with both databases of a version.

    One that was written through zipline's writers brings them; else they are built on first use.

    Parameters
    ----------
    session_reader : SessionPanelReader
        Of the same version; the close before an ex-date gives a dividend's ratio.
    """
    brought = bundle.metadata.source_type == SOURCE_TYPE
    if brought or (bundle.version.path / ASSETS).is_file():
        return bundle.version.path

    def build(directory: Path) -> None:
        from rustybt.compat import _databases  # with all that an ingest needs

        _databases.build(bundle, session_reader, directory)

    return bundle.version.derived("zipline", build)
