"""What is derived from a version: built when it is missing or damaged, beside it or elsewhere."""

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from rustybt.data.bundles import _files
from rustybt.data.errors import CorruptVersionError

TEMPORARY = ".tmp-"


#: A reader goes on without the directory: it may not write there, there is no room, the file system
#: has no locks, or another machine, which they do not reach, builds in the same place.
_UNWRITABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOLCK,
    errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY,
)  # fmt: skip


def derived(target: Path, lock_file: Path, build: Callable[[Path], None]) -> Path:
    """The directory of something derived, built now if it is missing or damaged.

    Where the version cannot be written to, or its disk is full, the content goes to a temporary
    directory that lives as long as the process.
    """
    if _is_sound(target):
        return target
    try:
        with FileLock(lock_file):
            if not _is_sound(target):
                _build_aside(target, build)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        return _build_elsewhere(build)
    return target


def _is_sound(directory: Path) -> bool:
    try:
        _files.check(directory)
    except CorruptVersionError:
        return False
    return True


def _build_aside(target: Path, build: Callable[[Path], None]) -> None:
    target.parent.mkdir(exist_ok=True)
    aside = target.with_name(f"{TEMPORARY}{target.name}")
    if aside.exists():  # a killed builder's: whoever is here holds the lock
        shutil.rmtree(aside)
    aside.mkdir()
    try:
        build(aside)
        _files.seal(aside)
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _build_elsewhere(build: Callable[[Path], None]) -> Path:
    import atexit

    directory = Path(tempfile.mkdtemp(prefix="rustybt-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    build(directory)
    return directory
