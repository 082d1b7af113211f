"""Old databases, read from a copy: SQLite would roll an open journal back into the original."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rustybt.legacy.migration._facts import Problem

Row = Mapping[str, Any]

_MAGIC = b"SQLite format 3\x00"
#: Unix seconds of the years 1900 and 2200: what lies outside is no time that a catalog could mean.
_TIMES = (-2_208_988_800, 7_258_118_400)
#: How pandas spells "no time" as an integer.
_NO_TIME = -(2**63)


@dataclass
class Database:
    """The rows of one database, and what was wrong with it.

    Attributes
    ----------
    path : pathlib.Path
    tables : dict of str to list of mapping
        Rows of each table that could be read, in the order they were written.
    problems : list of Problem
    """

    path: Path
    tables: dict[str, list[Row]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def rows(self, table: str) -> Iterator["Cells"]:
        """The rows of a table, none if there is no such table."""
        for number, row in enumerate(self.tables.get(table, ()), start=1):
            yield Cells(self, f"{table}, row {number}", row)


@dataclass(frozen=True)
class Cells:
    """One row, whose cells are checked as they are read: SQLite keeps any type in any column."""

    database: Database
    where: str
    row: Row

    def text(self, name: str) -> str | None:
        """A cell that must be text."""
        return self._typed(name, str, "text")

    def number(self, name: str) -> int | None:
        """A cell that must be a whole number."""
        return self._typed(name, int, "a whole number")

    def real(self, name: str) -> float | None:
        """A cell that must be a number."""
        value = self._typed(name, (int, float), "a number")
        return None if value is None else float(value)

    def seconds(self, name: str) -> int | None:
        """A cell that must be a time in unix seconds."""
        value = self.number(name)
        if value == _NO_TIME:
            return None
        if value is not None and not _TIMES[0] <= value <= _TIMES[1]:
            return self.refuse(name, value, "a time in unix seconds")
        return value

    def _typed(self, name: str, kind: Any, noun: str) -> Any:
        value = self.row.get(name)
        if value is None or isinstance(value, kind):
            return value
        return self.refuse(name, value, noun)

    def refuse(self, name: str, value: object, noun: str) -> None:
        """Report a cell."""
        what = f"{self.where}: {name} is {value!r}, not {noun}"
        self.database.problems.append(Problem(self.database.path, what))


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database, or empty as one that was only opened is."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) in (b"", _MAGIC)


def read(path: Path) -> Database:
    """All rows of all tables that can be read; what cannot is among the problems.

    The file and its journal are copied first and stay as they are.
    """
    database = Database(path)
    try:
        with _copied(path) as copy, closing(sqlite3.connect(copy)) as connection:
            connection.row_factory = sqlite3.Row
            # Bytes that are no UTF-8 are shown, not refused.
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in listed.fetchall():
                _read_table(connection, table, database)
    except (sqlite3.Error, OSError) as error:
        database.problems.append(Problem(path, f"cannot be read: {error}"))
    return database


def _read_table(connection: sqlite3.Connection, table: str, database: Database) -> None:
    quoted = table.replace('"', '""')
    try:
        cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  the schema's own name
        database.tables[table] = [dict(row) for row in cursor]
    except sqlite3.Error as error:
        database.problems.append(Problem(database.path, f"table {table} cannot be read: {error}"))


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rustybt-") as directory:
        copy = Path(directory) / "copy.db"
        shutil.copyfile(path, copy)
        for suffix in ("-journal", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.is_file():
                shutil.copyfile(beside, copy.with_name(copy.name + suffix))
        yield copy
