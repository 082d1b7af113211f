"""How the files under a path are laid out: which of them hold the bars of which symbols.

Folders are listed once a layout: one is made for each request, which sees the files as they are.
"""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from rustybt.data.bars import Frequency
from rustybt.data.errors import FrequencyError, UnknownSymbolError
from rustybt.data.sources._csv_bars import BarFile, CsvOptions, bar_columns
from rustybt.data.sources._csv_files import (
    EVENT_FILES,
    bar_files,
    csvdir_folders,
    event_files,
    stem,
)

#: Enough of a file for any header.
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class CsvLayout:
    """The files of a source.

    Attributes
    ----------
    root : pathlib.Path
        A file, a folder, or a csvdir.
    events : pathlib.Path or None
        The folder of splits and dividends, if it is not that of the bars.
    options : CsvOptions
    """

    root: Path
    events: Path | None
    options: CsvOptions

    @cached_property
    def folders(self) -> dict[Frequency | None, Path]:
        """Frequency -> file or folder of its bars; the frequency is None if no name tells it."""
        named: dict[Frequency | None, Path] = dict(csvdir_folders(self.root).items())
        return named or {None: self.root}

    def files(self, asked: Frequency | None, symbols: Collection[str] = ()) -> list[BarFile]:
        """The files with bars of a frequency; those of the first folder, if None.

        Whether a column names symbols is read from a file named after one of `symbols`, or else
        from the first one.

        Raises
        ------
        FrequencyError
            If this is a csvdir without a folder for it.
        """
        listed = self._listed(self._place_of(asked))
        return list(self._owned(listed, symbols).values())

    def files_of(self, symbols: Collection[str], asked: Frequency | None) -> list[BarFile]:
        """The files that some symbols may be in: their own, or all if a column names symbols.

        Raises
        ------
        UnknownSymbolError
            If a symbol has no file of its own and no column names symbols.
        """
        listed = self._listed(self._place_of(asked))
        own = self._owned(listed, symbols)
        if own is not listed:
            return list(own.values())
        if any(symbol not in own for symbol in symbols):
            self.require(symbols, self.symbols())
        return [own[symbol] for symbol in sorted(set(symbols)) if symbol in own]

    def files_with_events(self, symbols: Collection[str]) -> list[BarFile]:
        """The files whose columns may have the events of some symbols; daily ones go first."""
        found: dict[str | None, list[BarFile]] = {}
        for frequency in self.folders:
            for each in self.files(frequency, symbols):
                found.setdefault(each.symbol, []).append(each)
        named = {symbol for symbol in found if symbol is not None}
        if None not in found:
            self.require(symbols, named)
        wanted = [found[symbol][:1] for symbol in sorted(named.intersection(symbols))]
        return [each for files in wanted for each in files] + found.get(None, [])

    @cached_property
    def shares_files(self) -> bool:
        """Whether a column names symbols in some file, which may have the events of all symbols."""
        return any(self.files(frequency)[0].symbol is None for frequency in self.folders)

    def symbols(self) -> list[str]:
        """All symbols of all files, sorted."""
        found: set[str] = set()
        for frequency in self.folders:
            for each in self.files(frequency):
                found |= {each.symbol} if each.symbol is not None else self._named_in(each)
        return sorted(found)

    def require(self, symbols: Collection[str], known: Collection[str]) -> None:
        """Raise if a symbol is not among the known ones.

        Raises
        ------
        UnknownSymbolError
            Names those that look alike, or all.
        """
        unknown = sorted(set(symbols).difference(known))
        if unknown:
            alike = {near for symbol in unknown for near in _near(symbol, known)}
            raise UnknownSymbolError(unknown, str(self.root), sorted(alike or known))

    @cached_property
    def event_files(self) -> dict[str, Path]:
        """Kind -> the file of ``splits`` or ``dividends``, if there is one."""
        if self.events is not None:
            return event_files(self.events)
        inner = next(iter(self.folders.values()))
        folder = self.root if self.root.is_dir() else self.root.parent
        beside = event_files(inner) if inner.is_dir() and inner != folder else {}
        return {**beside, **event_files(folder)}

    def state(self) -> str:
        """Hex digest of the names, sizes and times of change of all files that are read."""
        paths = [each.path for frequency in self.folders for each in self.files(frequency)]
        paths += [self.event_files[kind] for kind in EVENT_FILES if kind in self.event_files]
        facts = []
        folders = _Resolved()
        for path in paths:
            stat = os.stat(path)  # noqa: PTH116  of thousands, time and again
            facts.append((f"{folders[path.parent]}/{path.name}", stat.st_size, stat.st_mtime_ns))
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def _place_of(self, asked: Frequency | None) -> Path:
        """The file or folder of a frequency; the first one, if None."""
        folders = self.folders
        if asked is None or None in folders:
            return next(iter(folders.values()))
        if asked not in folders:
            names = ", ".join(f"{freq} in {folder.name}/" for freq, folder in folders.items())
            raise FrequencyError(f"{self.root} has no bars of {asked}; it has {names}")
        return folders[asked]

    def _owned(self, listed: dict[str, BarFile], symbols: Collection[str]) -> dict[str, BarFile]:
        """The same files; as nobody's if a column names symbols."""
        named = next((symbol for symbol in symbols if symbol in listed), next(iter(listed)))
        text = listed[named].open(self.options, _HEADER_BYTES)
        if "symbol" not in bar_columns(text, self.options):
            return listed
        return {name: BarFile(each.path, each.file, None) for name, each in listed.items()}

    def _listed(self, place: Path) -> dict[str, BarFile]:
        """Symbol -> file of a place, as the files are named; in their order."""
        if place not in self._known:
            self._known[place] = self._found(place)
        return self._known[place]

    @cached_property
    def _known(self) -> dict[Path, dict[str, BarFile]]:
        """The answers of `_listed`."""
        return {}

    def _found(self, place: Path) -> dict[str, BarFile]:
        if not place.is_dir():
            name = stem(place.name) or place.stem
            return {name: BarFile(place, place.name, name)}
        inner = "" if place == self.root else f"{place.relative_to(self.root)}{os.sep}"
        found = bar_files(place).items()
        return {name: BarFile(path, f"{inner}{path.name}", name) for name, path in found}

    def _named_in(self, source: BarFile) -> set[str]:
        text = source.open(self.options)
        place = bar_columns(text, self.options)["symbol"]
        names = text.columns({"symbol": place})["symbol"].str.strip_chars().unique()
        return set(names) - {""}


class _Resolved(dict[Path, Path]):
    """Folder -> the same without links; each is asked once."""

    def __missing__(self, folder: Path) -> Path:
        self[folder] = folder.resolve()
        return self[folder]


def _near(symbol: str, known: Collection[str]) -> list[str]:
    same = [other for other in known if other.casefold() == symbol.casefold()]
    return same or get_close_matches(symbol, sorted(known), n=3)
