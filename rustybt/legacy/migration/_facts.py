"""What a migration finds and says: values without behaviour, and without I/O."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

#: Where an item's bars come from; a ``record`` has none left.
Form = Literal["parquet", "bcolz", "record"]


@dataclass(frozen=True)
class Problem:
    """Something that is damaged or missing, and was skipped.

    Attributes
    ----------
    path : pathlib.Path
    what : str
        What is wrong, and where in the file.
    bundle : str
        The bundle that it belongs to, where that is known.
    """

    path: Path
    what: str
    bundle: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Conflict:
    """One fact on which the old catalogs and the files disagree.

    Attributes
    ----------
    fact : str
        ``row_count``, ``start_date``, ``checksum of daily_bars/...``, ...
    claims : mapping of str to object
        Who says what: catalogs by their path, the data as ``files``.
    kept : object
        What the new version says.
    """

    fact: str
    claims: Mapping[str, Any]
    kept: Any

    def __str__(self) -> str:
        said = ", ".join(f"{who} says {value}" for who, value in self.claims.items())
        return f"{self.fact}: {said}; kept: {self.kept}"


@dataclass(frozen=True)
class Claim:
    """What one catalog says of one bundle.

    Attributes
    ----------
    catalog : str
        Path of the database, relative to the root.
    kind : {"DataCatalog", "ParquetMetadataCatalog"}
    facts : mapping of str to object
        By column; dates are `datetime.date`, other times unix seconds. None is left out.
    symbols : tuple of mapping
        ``symbol``, ``asset_type``, ``exchange``, in the catalog's order, each once.
    files : mapping of str to str
        Checksum by path of a Parquet file, relative to the bundle's directory.
    notes : tuple of str
        What had to be read between the lines, in sentences.
    history : tuple of mapping
        Older rows about the same thing, and rows about its use, as they stand.
    """

    catalog: str
    kind: Literal["DataCatalog", "ParquetMetadataCatalog"]
    facts: Mapping[str, Any] = field(default_factory=dict)
    symbols: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()

    def names(self) -> list[str]:
        """The symbols, in the catalog's order."""
        return [row["symbol"] for row in self.symbols]


@dataclass(frozen=True)
class FileFacts:
    """What the Parquet files of one bundle hold.

    Attributes
    ----------
    rows : int
        Bars that a version will have.
    start, end : datetime.date or None
        First and last session.
    sids : tuple of int
        As numbered in the files.
    frequencies : tuple of str
        ``1d``, and the spacing of the intraday bars.
    calendar : str
    checksums : mapping of str to str
        SHA-256 by path, relative to the bundle's directory.
    combined : str
        SHA-256 of all files' bytes in the order of their paths.
    notes : tuple of str
        What was derived from the files, in sentences.
    untrusted : tuple of str
        Reasons not to rely on the bars.
    """

    rows: int = 0
    start: date | None = None
    end: date | None = None
    sids: tuple[int, ...] = ()
    frequencies: tuple[str, ...] = ()
    calendar: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    combined: str = ""
    notes: tuple[str, ...] = ()
    untrusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One version that a migration makes.

    Attributes
    ----------
    bundle : str
    form : {"parquet", "bcolz", "record"}
    paths : tuple of pathlib.Path
        Directories or files that it is made of.
    timestamp : datetime.datetime
        Ingest time of the version, UTC.
    identity : str
        Digest of the data that it is made of; equal for equal data.
    source_type : str
    symbols : mapping of str to mapping of int to str
        By kind, ``daily`` or ``minute``, the symbol of each sid of the old files.
    facts : FileFacts
    claims : tuple of Claim
    conflicts : tuple of Conflict
    untrusted : tuple of str
        Reasons not to rely on it; empty if there are none.
    notes : tuple of str
    size_bytes : int
        Of what is read.
    """

    bundle: str
    form: Form
    paths: tuple[Path, ...]
    timestamp: datetime
    identity: str
    source_type: str = ""
    symbols: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    facts: FileFacts = field(default_factory=FileFacts)
    claims: tuple[Claim, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    untrusted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    size_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        row = asdict(self)
        row["facts"].pop("notes")
        row["facts"].pop("untrusted")
        plain: dict[str, Any] = jsonable(row)
        return plain

    def provenance(self) -> dict[str, Any]:
        """What the record of the version says of where it came from."""
        row = self.to_dict()
        kept = ("identity", "form", "paths", "claims", "conflicts", "untrusted")
        return {"migrated_from": {name: row[name] for name in kept} | {"sids": row["symbols"]}}


@dataclass(frozen=True)
class Plan:
    """What a migration of a root would do.

    Attributes
    ----------
    root : pathlib.Path
    items : tuple of Item
        By bundle and time.
    problems : tuple of Problem
        Damaged or missing input, which is skipped.
    found : tuple of pathlib.Path
        Every catalog and cache that was found, read or not.
    notes : tuple of str
        What is left alone, in sentences.
    """

    root: Path
    items: tuple[Item, ...]
    problems: tuple[Problem, ...]
    found: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that was found can be migrated."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "root": str(self.root),
            "ok": self.ok,
            "found": [str(path) for path in self.found],
            "bundles": [item.to_dict() for item in self.items],
            "damaged": [jsonable(asdict(problem)) for problem in self.problems],
            "notes": list(self.notes),
            "size_bytes": sum(item.size_bytes for item in self.items),
        }


def jsonable(value: Any) -> Any:
    """A value as JSON can hold it: paths and dates as text, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
