"""Put rustybt under an untouched zipline, and take it away again.

`activate` replaces the module-level names that `replacements` lists, and nothing else of zipline.
One marked line in ``$ZIPLINE_ROOT/extension.py``, which zipline runs first, calls it; `enable`
writes that line and `disable` gives the file its bytes back.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rustybt.compat.engine import engine_named
from rustybt.data.bundles import storage

#: (module of zipline, name in it, what takes its place, what changes by it).
REPLACED = (
    (
        "zipline.data.bundles",
        "ingest",
        "rustybt.compat.bundles:ingest",
        "an ingest becomes a version, whole or not at all",
    ),
    (
        "zipline.data.bundles",
        "load",
        "rustybt.compat.bundles:load",
        "versions load, and bcolz ingestions beside them",
    ),
    ("zipline.data.bundles", "clean", "rustybt.compat.bundles:clean", "cleans both"),
    (
        "zipline.data.bundles",
        "ingestions_for_bundle",
        "rustybt.compat.bundles:ingestions_for_bundle",
        "lists both",
    ),
    ("zipline.data.bundles.core", "ingest", "rustybt.compat.bundles:ingest", "the same"),
    ("zipline.data.bundles.core", "load", "rustybt.compat.bundles:load", "the same"),
    ("zipline.data.bundles.core", "clean", "rustybt.compat.bundles:clean", "the same"),
    (
        "zipline.data.bundles.core",
        "ingestions_for_bundle",
        "rustybt.compat.bundles:ingestions_for_bundle",
        "the same",
    ),
    (
        "zipline.data.resample",
        "MinuteResampleSessionBarReader",
        "rustybt.compat.resample:MinuteResampleSessionBarReader",
        "minutes roll up to sessions whatever their volume is",
    ),
)

#: What is replaced besides, by engine.
REPLACED_BY_ENGINE = {
    "fast": (
        (
            "zipline.utils.run_algo",
            "DataPortal",
            "rustybt.compat.engine.portal:DataPortal",
            "history and current keep every stored digit, and come from memory maps",
        ),
        (
            "zipline.utils.run_algo",
            "TradingAlgorithm",
            "rustybt.compat.engine.algorithm:TradingAlgorithm",
            "the same simulation, several times faster",
        ),
    ),
    "stock": (
        (
            "zipline.utils.run_algo",
            "DataPortal",
            "rustybt.compat.data_portal:DataPortal",
            "history and current keep every stored digit",
        ),
    ),
}

_LINE = b"__import__('rustybt.compat.install').compat.install.activate()"
_MARK = b"  # rustybt zipline enable"
#: What the file was before, as far as taking the line out does not tell.
_NO_NEWLINE, _NO_FILE = b" (after no newline)", b" (in a new file)"

_originals: dict[tuple[str, str], Any] = {}


def replacements(environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str, str, str], ...]:
    """What `activate` replaces: (module of zipline, name in it, replacement, effect)."""
    return (*REPLACED, *REPLACED_BY_ENGINE[engine_named(None, environ)])


def activate(environ: Mapping[str, str] = os.environ) -> None:
    """Replace zipline's names in this process; doing it again changes nothing."""
    for module_name, name, replacement, _ in replacements(environ):
        module = import_module(module_name)
        if (module_name, name) not in _originals:
            _originals[module_name, name] = getattr(module, name)
            setattr(module, name, _resolve(replacement))
    _register_known(environ)


def deactivate() -> None:
    """Give zipline its names back in this process."""
    while _originals:
        (module_name, name), original = _originals.popitem()
        setattr(import_module(module_name), name, original)


def is_active() -> bool:
    """Whether zipline's names are replaced in this process."""
    return bool(_originals)


def _resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _register_known(environ: Mapping[str, str]) -> None:
    """Let zipline list the bundles that a source made, which nobody registered."""
    from rustybt.compat import bundles

    for name in storage.list_bundles(environ):
        if name not in bundles.bundles:
            bundles.register(name, _made_elsewhere(name))


def _made_elsewhere(name: str) -> Callable[..., None]:
    def ingest(*_: Any) -> None:
        raise ValueError(
            f"bundle {name!r} was not made by an ingest function; to ingest it again: "
            f"rustybt ingest SOURCE --bundle {name}"
        )

    return ingest


@dataclass(frozen=True)
class Status:
    """What `status` found.

    Attributes
    ----------
    extension : pathlib.Path
        The file that zipline runs first.
    enabled : bool
        Whether the marked line is in it.
    """

    extension: Path
    enabled: bool


def extension_file(environ: Mapping[str, str] = os.environ) -> Path:
    """``extension.py`` in zipline's root."""
    root = environ.get("ZIPLINE_ROOT") or "~/.zipline"
    return Path(root).expanduser() / "extension.py"


def status(environ: Mapping[str, str] = os.environ) -> Status:
    """Whether rustybt is enabled in zipline's root."""
    path = extension_file(environ)
    return Status(path, path.is_file() and _LINE in path.read_bytes())


def enable(environ: Mapping[str, str] = os.environ) -> bool:
    """Add the marked line to ``extension.py``.

    Returns
    -------
    bool
        Whether the file changed; False if the line was there.
    """
    found = status(environ)
    if found.enabled:
        return False
    path = found.extension
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.is_file() else None
    if before is None:
        after = _LINE + _MARK + _NO_FILE + b"\n"
    elif before and not before.endswith(b"\n"):
        after = before + b"\n" + _LINE + _MARK + _NO_NEWLINE + b"\n"
    else:
        after = before + _LINE + _MARK + b"\n"
    _replace(path, after)
    return True


def disable(environ: Mapping[str, str] = os.environ) -> bool:
    """Take the marked line out of ``extension.py``; the rest keeps its bytes.

    Returns
    -------
    bool
        Whether the file changed; False if the line was not there.
    """
    path = extension_file(environ)
    if not status(environ).enabled:
        return False
    text = path.read_bytes()
    start = text.index(_LINE)
    end = text.find(b"\n", start)
    line = text[start:] if end < 0 else text[start : end + 1]
    head, tail = text[:start], text[start + len(line) :]
    if line.rstrip().endswith(_NO_NEWLINE):
        head = head.removesuffix(b"\n")
    if line.rstrip().endswith(_NO_FILE) and not head and not tail:
        path.unlink()
    else:
        _replace(path, head + tail)
    return True


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.rustybt")
    aside.write_bytes(content)
    if path.exists():
        aside.chmod(path.stat().st_mode & 0o777)
    aside.replace(path)
