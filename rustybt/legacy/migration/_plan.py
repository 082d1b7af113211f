"""The plan of a migration: everything old below a root, read in full, and nothing changed."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rustybt.data.bundles.storage import encode_name
from rustybt.data.errors import BundleNameError
from rustybt.legacy.migration import _claims, _classic, _merge, _sqlite
from rustybt.legacy.migration._discover import Found, Home, discover, ingest_time
from rustybt.legacy.migration._facts import Claim, FileFacts, Item, Plan, Problem, jsonable
from rustybt.legacy.migration._load import KINDS, Loaded, load

#: Called with (steps done, steps in all, what is being done).
Progress = Callable[[int, int, str], None]

_NO_DATA = (
    "No data file of it is left. What the catalogs say is kept as its record, which has no bars."
)


def make_plan(
    root: Path, cache: Path, *, bundle: str | None = None, progress: Progress | None = None
) -> Plan:
    """Read everything old below a root and say what a migration would make of it.

    Parameters
    ----------
    root : pathlib.Path
        ``$ZIPLINE_ROOT``.
    cache : pathlib.Path
        The old cache, ``~/.rustybt/cache``.
    bundle : str, optional
        Only this one.
    progress : callable, optional
    """
    return _Planner(discover(root, cache), bundle, progress).plan()


class Sources:
    """The old databases of a root, read once.

    Parameters
    ----------
    found : Found

    Attributes
    ----------
    catalogs : rustybt.legacy.migration._claims.Catalogs
    databases : dict of pathlib.Path to Database
    """

    def __init__(self, found: Found) -> None:
        self.catalogs = _claims.Catalogs()
        self.databases: dict[Path, _sqlite.Database] = {}
        for path in found.catalogs:
            _claims.read_data_catalog(self._read(path), path.name, self.catalogs)
        for home in found.homes.values():
            for path in home.databases:
                name = str(path.relative_to(found.root))
                directory = _beside(path, home)
                _claims.read_parquet_catalog(
                    self._read(path), name, directory, home.name, self.catalogs
                )

    def _read(self, path: Path) -> _sqlite.Database:
        if path not in self.databases:
            self.databases[path] = _sqlite.read(path)
        return self.databases[path]

    def of(self, home: Home) -> list[_sqlite.Database]:
        """The databases of one bundle."""
        return [self.databases[path] for path in home.databases]

    def claims(self, bundle: str) -> list[Claim]:
        """What all catalogs say of a bundle."""
        return self.catalogs.claims.get(bundle, [])

    def problems(self) -> list[Problem]:
        """What is wrong with the databases, each thing once."""
        every = [problem for each in self.databases.values() for problem in each.problems]
        return list(dict.fromkeys(every))


def _beside(database: Path, home: Home) -> Path:
    """The bundle's directory that a database belongs to."""
    for directory in home.directories:
        if database.parent == directory:
            return directory
    return home.directories[0]


class _Planner:
    def __init__(self, found: Found, bundle: str | None, progress: Progress | None) -> None:
        self._found = found
        self._sources = Sources(found)
        self._only = bundle
        self._progress = progress
        self._problems: list[Problem] = list(found.problems)
        self._notes: list[str] = []

    def plan(self) -> Plan:
        found = self._found
        known = {*found.homes, *(n for n, _ in found.ingestions), *self._sources.catalogs.claims}
        names = sorted(name for name in known if self._only in (None, name))
        items: list[Item] = []
        for done, name in enumerate(names):
            if self._progress is not None:
                self._progress(done, len(names), name)
            if self._is_usable(name):
                items += self._items(name)
        if self._only is None:
            self._problems += self._sources.problems()
            self._look_at_the_rest()
        if self._progress is not None:
            self._progress(len(names), len(names), "")
        databases = [path for home in found.homes.values() for path in home.databases]
        everything = (*found.catalogs, *databases, *found.caches)
        problems = tuple(dict.fromkeys(self._problems))
        return Plan(found.root, tuple(items), problems, everything, tuple(self._notes))

    def _is_usable(self, name: str) -> bool:
        try:
            encode_name(name)
        except BundleNameError as error:
            home = self._found.homes.get(name)
            place = home.directories[0] if home else self._found.root
            self._problems.append(Problem(place, str(error), name))
            return False
        return True

    def _items(self, name: str) -> Iterator[Item]:
        claims = self._sources.claims(name)
        home = self._found.homes.get(name, Home(name))
        loaded = load(home, claims, self._sources.of(home))
        self._problems += loaded.problems
        self._problems += _missing(home, claims, loaded)
        paths = [path for of, path in self._found.ingestions if of == name]
        if loaded.bars:
            yield self._parquet(home, claims, loaded)
        classics = [self._classic(name, path, claims, path == paths[-1]) for path in paths]
        yield from (item for item in classics if item is not None)
        if not loaded.bars and not any(classics):
            if any(_says_something(claim) for claim in claims):
                yield self._record(home, claims, loaded)
            else:
                self._notes.append(f"{name}: nothing was ever put into it")

    def _parquet(self, home: Home, claims: list[Claim], loaded: Loaded) -> Item:
        kinds = [kind for kind in KINDS if kind in loaded.symbols]
        source = _merge.source_type(claims, kinds)
        named = sorted({s for each in loaded.symbols.values() for s in each.values()})
        kept = {"source_type": source, "symbols": named}
        disagreements = _merge.conflicts(claims, loaded.facts, kept)
        return Item(
            home.name,
            "parquet",
            tuple(path for kind in KINDS for path in home.bars[kind]),
            _fetched(claims) or _written(loaded.written),
            _digest(loaded.facts.checksums, loaded.symbols),
            source,
            loaded.symbols,
            loaded.facts,
            tuple(claims),
            (*disagreements, *loaded.conflicts),
            loaded.facts.untrusted,
            (*loaded.facts.notes, *_claim_notes(claims), _adjustment_note(source)),
            loaded.size_bytes,
        )

    def _classic(self, name: str, path: Path, claims: list[Claim], newest: bool) -> Item | None:
        found = _classic.inspect(name, path)
        if isinstance(found, Problem):
            self._problems.append(found)
            return None
        moment = ingest_time(path.name)
        assert moment is not None  # noqa: S101  only such directories are ingestions
        described = [claim for claim in claims if claim.kind == "DataCatalog"]
        source = _merge.source_type(described, ["daily"]) if described else "zipline"
        kept = {"source_type": source, "symbols": sorted(found.symbols.values())}
        # A catalog describes the last ingestion only.
        facts = replace(found.facts, checksums={path.name: ""})
        disagreements = _merge.conflicts(described, facts, kept) if newest else []
        return Item(
            name,
            "bcolz",
            (path,),
            moment.replace(tzinfo=UTC),
            _digest("bcolz", str(path.relative_to(self._found.root))),
            source,
            {"daily": found.symbols},
            found.facts,
            tuple(described),
            tuple(each for each in disagreements if each.fact != "checksum"),
            found.facts.untrusted,
            (),
            sum(each.stat().st_size for each in path.rglob("*") if each.is_file()),
        )

    def _record(self, home: Home, claims: list[Claim], loaded: Loaded) -> Item:
        best = _merge.preferred(claims, "daily")
        # A catalog tells of the last call or the last file only: each claim may widen the span.
        first = [c.facts["start_date"] for c in claims if "start_date" in c.facts]
        last = [c.facts["end_date"] for c in claims if "end_date" in c.facts]
        names = next((claim.names() for claim in best if claim.symbols), [])
        facts = FileFacts(start=min(first, default=None), end=max(last, default=None))
        source = _merge.source_type(claims, ["daily"])
        kept = {"source_type": source, "symbols": names}
        stamps = [_stamp(claim) for claim in claims]
        moment = _fetched(claims) or datetime.fromtimestamp(max(stamps), UTC)
        return Item(
            home.name,
            "record",
            home.databases or self._found.catalogs,
            moment,
            _digest(jsonable([vars(claim) for claim in claims])),
            source,
            {"daily": dict(enumerate(names, start=1))},
            facts,
            tuple(claims),
            tuple(_merge.conflicts(claims, facts, kept)),
            (),
            (_NO_DATA, *_claim_notes(claims)),
            loaded.size_bytes,
        )

    def _look_at_the_rest(self) -> None:
        """The old cache: it is readable or not, and a new one fills itself."""
        caches = self._found.caches
        if caches:
            size = sum(path.stat().st_size for path in caches)
            self._notes.append(
                f"{len(caches)} files of the old cache ({size:,} bytes) are left where they are: "
                "they hold only what a source can be asked for again"
            )
        for path in self._found.catalogs:
            if not path.stat().st_size:
                self._notes.append(f"{path} is empty")


def _missing(home: Home, claims: Sequence[Claim], loaded: Loaded) -> list[Problem]:
    """Files that a catalog knows and that are not there."""
    damaged = {problem.path for problem in loaded.problems}
    problems = []
    for claim in claims:
        for name in claim.files:
            places = [directory / name for directory in home.directories]
            if name in loaded.facts.checksums or damaged & set(places):
                continue
            what = f"is missing; {claim.catalog} knows it"
            problems.append(Problem(places[0] if places else Path(name), what, home.name))
    return problems


def _says_something(claim: Claim) -> bool:
    if claim.kind == "DataCatalog":
        return bool(claim.facts)
    return bool(claim.symbols or claim.files or "start_date" in claim.facts)


def _fetched(claims: Sequence[Claim]) -> datetime | None:
    """When the bars were last fetched, as the catalogs say."""
    stamps = [c.facts["fetch_timestamp"] for c in claims if "fetch_timestamp" in c.facts]
    return datetime.fromtimestamp(max(stamps), UTC) if stamps else None


def _stamp(claim: Claim) -> int:
    known = ("updated_at", "created_at", "validation_timestamp")
    return int(next((claim.facts[name] for name in known if name in claim.facts), 0))


def _written(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC)


def _claim_notes(claims: Sequence[Claim]) -> list[str]:
    return [note for claim in claims for note in claim.notes]


def _adjustment_note(source: str) -> str:
    return (
        f"Old bundles do not say what {source} bars are adjusted for; they are taken as they are, "
        "with the events that lay beside them."
    )


def _digest(*parts: object) -> str:
    text = json.dumps(jsonable(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
