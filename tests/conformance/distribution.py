"""zipline-reloaded's source distribution: fetched once, and its tests taken out of it."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

NAME = "zipline-reloaded"
VERSION = "3.2.1"
_STEM = f"zipline_reloaded-{VERSION}"
_BACKEND = Path(__file__).with_name("pip_backend")


def workspace(cache: Path, sdist: Path | None = None) -> Path:
    """A directory with zipline's ``tests`` and ``pyproject.toml``, and without its sources.

    Raises
    ------
    SystemExit
        If another version of zipline is installed, or the distribution cannot be fetched.
    """
    if version(NAME) != VERSION:
        raise SystemExit(
            f"the tests are those of {NAME} {VERSION}, but {version(NAME)} is installed"
        )
    target = cache / _STEM
    if not (target / "pyproject.toml").exists():
        _unpack(sdist or _fetched(cache), target)
    return target


def _fetched(cache: Path) -> Path:
    archive = cache / f"{_STEM}.tar.gz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"fetching {archive.name} from the package index", flush=True)
        # fmt: off
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-binary", NAME, "--no-build-isolation",
            "--dest", str(cache), f"{NAME}=={VERSION}",
        ]
        # fmt: on
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(_BACKEND)}, check=False)
        if done.returncode or not archive.exists():
            raise SystemExit(f"pip could not download {NAME} {VERSION}; --sdist takes a local file")
    return archive


def _unpack(archive: Path, target: Path) -> None:
    """Take the tests out; pytest's settings come last and mark the end."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        members = list(_members(tar, ("tests/", "pyproject.toml")))
        members.sort(key=lambda member: member.name == "pyproject.toml")
        tar.extractall(target, members, filter="data")


def _members(tar: tarfile.TarFile, wanted: tuple[str, ...]) -> Iterator[tarfile.TarInfo]:
    """Members below the archive's top directory whose path begins as wanted."""
    for member in tar:
        inner = member.name.partition("/")[2]
        if member.isfile() and inner.startswith(wanted):
            member.name = inner
            yield member
