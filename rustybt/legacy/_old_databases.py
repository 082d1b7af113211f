"""The rows of the old catalogs of a root, for those who still ask for them."""

from functools import cached_property
from pathlib import Path
from typing import Any

from rustybt.legacy.migration import _sqlite
from rustybt.legacy.migration._claims import Catalogs, read_data_catalog
from rustybt.legacy.migration._discover import CATALOGS

Row = dict[str, Any]


class OldDatabases:
    """``assets-8.db`` to ``assets-10.db`` of a root, read when they are needed, never written.

    Parameters
    ----------
    root : pathlib.Path or None
        None for none at all.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root

    @cached_property
    def _databases(self) -> list[_sqlite.Database]:
        root = self.root
        paths = [] if root is None else [root / name for name in CATALOGS]
        return [_sqlite.read(path) for path in paths if path.is_file()]

    @cached_property
    def _catalogs(self) -> Catalogs:
        found = Catalogs()
        for database in self._databases:
            read_data_catalog(database, database.path.name, found)
        return found

    def rows(self, table: str) -> list[Row]:
        """The rows of a table of all versions."""
        return [dict(row) for each in self._databases for row in each.tables.get(table, ())]

    def bundles(self) -> list[str]:
        """Names of all bundles that are in one."""
        return list(self._catalogs.claims)

    def bundle(self, name: str) -> Row | None:
        """What the newest catalog that knows a bundle says of it, dates as unix seconds."""
        claims = self._catalogs.claims.get(name)
        if not claims:
            return None
        newest = claims[-1]
        days = {
            f"{edge}_date": newest.facts[f"{edge}_timestamp"]
            for edge in ("start", "end")
            if f"{edge}_timestamp" in newest.facts
        }
        row = {"bundle_name": name, "missing_days_list": [], **newest.facts, **days}
        if newest.catalog == CATALOGS[0]:
            row["is_measured"] = "validation_timestamp" in row
        if "validation_passed" in row:
            row["validation_passed"] = bool(row["validation_passed"])
        return row
