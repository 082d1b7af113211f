"""Which version an update can be put on although there is damage, and what stands in for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rustybt.data.bundles import _files
from rustybt.data.bundles.storage import Version

_BARS = ("daily/", "minute/")


@dataclass(frozen=True)
class Usable:
    """A version whose tables are sound, and its damaged files of bars.

    Attributes
    ----------
    version : Version
    stand_ins : mapping of str to pathlib.Path or None
        Damaged file of bars -> one with the recorded bytes in another version; None if there is
        none, so that its bars must be fetched again.
    """

    version: Version
    stand_ins: Mapping[str, Path | None] = field(default_factory=dict)


def newest_usable(versions: Sequence[Version]) -> Usable | None:
    """The newest version whose tables are sound, every byte of all its files compared.

    A version before it may be wholly sound, but lacks what was added since.
    """
    for version in versions:
        broken = _files.damage(version.path)
        if all(name.startswith(_BARS) for name in broken):
            facts = _files.sealed(version.path) if broken else {}
            return Usable(version, {name: find(name, facts[name], versions) for name in broken})
    return None


def find(name: str, was: _files.Sealed, versions: Sequence[Version]) -> Path | None:
    """The file of that name that has the recorded bytes, in any of some versions."""
    candidates = (version.path / name for version in versions)
    return next((path for path in candidates if _files.is_as_sealed(path, was)), None)
