"""One writer a bundle: who it is, and whether it still lives.

The operating system's lock decides where it works: it goes with its process, however that ends.
Beside it lies a file that names the holder, for the message to others, and for file systems whose
locks do not reach other machines, or that have none: only one process can make that file, and it
is believed as long as the file is touched. Whoever stood still for longer than that finds out
before it publishes anything.
"""

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from rustybt.data.errors import BundleLockedError

DIRECTORY = ".locks"
#: Seconds between two touches of the holder's file, and after which it is not believed any more.
_TOUCHED_EVERY = 20.0
_BELIEVED_FOR = 120.0
#: A file system that has no locks: the holder's file alone decides.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Holder:
    """A process that writes.

    Attributes
    ----------
    pid : int
    host : str
    boot : str
        Identifies the run of the machine since it was started; empty where that is not known.
    started : str
        When the process was started, as the machine counts it; empty where that is not known.
    since : str
        When it began to write, ISO 8601.
    """

    pid: int
    host: str
    boot: str
    started: str
    since: str

    @classmethod
    def me(cls) -> "Holder":
        """This process."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), os.uname().nodename, _boot(), _started(os.getpid()), now)

    @classmethod
    def read(cls, path: Path) -> "Holder | None":
        """The holder that a file names; None if there is no such file or it is torn."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == os.uname().nodename

    @property
    def is_gone(self) -> bool:
        """Whether it certainly does not run any more: only known of processes of this machine."""
        if not self.is_here:
            return False
        if self.boot != _boot():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # another user's, and alive
        return self.started != _started(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Field 22 of /proc/PID/stat: a number that is used again has another."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@contextmanager
def locked(bundle: Path, what: str, prefix: str = "") -> Iterator["Claim"]:
    """Be the only one who does something to a bundle.

    Parameters
    ----------
    bundle : pathlib.Path
        Its directory, whether it exists or not.
    what : str
        For the message: ``bundle 'x' is being written``.
    prefix : str
        Tells apart what may be done at the same time. It begins with a dot, as no bundle's name
        does.

    Raises
    ------
    BundleLockedError
        If another process is doing it.
    """
    lock_file = bundle.parent / DIRECTORY / f"{prefix}{bundle.name}.lock"
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    holder_file = lock_file.with_suffix(".holder")
    lock = _acquired(lock_file, holder_file, what)
    try:
        with _claimed(holder_file, what) as claim:
            yield claim
    finally:
        lock.release()


@dataclass(frozen=True)
class Claim:
    """What the holder of a lock has: a file that names it."""

    file: Path
    holder: Holder
    what: str

    def require(self) -> None:
        """Raise unless the lock is still held, before something is done that cannot be undone.

        Raises
        ------
        BundleLockedError
            If another machine took it over, because this one stood still for too long.
        """
        now = Holder.read(self.file)
        if now != self.holder:
            raise BundleLockedError(
                f"{self.what} by {now or 'nobody'} now: this process stood still, and was taken "
                "for gone. Nothing was changed; start it again"
            )


def _acquired(lock_file: Path, holder_file: Path, what: str) -> BaseFileLock:
    lock: BaseFileLock = FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _is_held(what, Holder.read(holder_file), holder_file) from None
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return lock


def _is_held(what: str, holder: Holder | None, holder_file: Path) -> BundleLockedError:
    by = holder or "another process"
    hint = "wait for it to end, or stop it"
    if holder is not None and not holder.is_here:
        hint += (
            f"; if that machine is gone, wait {_BELIEVED_FOR:.0f} seconds or remove {holder_file}"
        )
    return BundleLockedError(f"{what} by {by}; {hint}")


def _may_live(holder: Holder, path: Path) -> bool:
    """Whether another process may be writing although the lock was free."""
    if holder.is_here:
        return holder.pid != os.getpid() and not holder.is_gone
    return age(path) < _BELIEVED_FOR


def age(path: Path) -> float:
    """Seconds since a file was touched, by the clock of its file system."""
    probe = path.with_suffix(f".{os.getpid()}.now")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def _claimed(file: Path, what: str) -> Iterator[Claim]:
    """Say in the file who writes, and touch it now and then."""
    claim = Claim(file, Holder.me(), what)
    while not _created(file, claim.holder):
        _take_over(file, what)
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(_TOUCHED_EVERY):
            with suppress(OSError):
                os.utime(file)

    thread = threading.Thread(target=touch, name="rustybt-lock", daemon=True)
    thread.start()
    try:
        yield claim
    finally:
        ended.set()
        thread.join()
        if Holder.read(file) == claim.holder:
            file.unlink(missing_ok=True)


def _created(file: Path, holder: Holder) -> bool:
    """Whether the file could be made, whole and at once, where there was none.

    A link is made by the server of a shared file system in one step, and fails if there is a file.
    """
    aside = _aside(file)
    aside.write_text(json.dumps(asdict(holder)))
    try:
        os.link(aside, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        return _written(file, holder)
    finally:
        aside.unlink()
    return True


def _written(file: Path, holder: Holder) -> bool:
    try:
        with file.open("x") as opened:
            opened.write(json.dumps(asdict(holder)))
    except FileExistsError:
        return False
    return True


def _take_over(file: Path, what: str) -> None:
    """Remove the file of a holder that is gone.

    Raises
    ------
    BundleLockedError
        If it may live, or another process has taken over meanwhile.
    """
    other = Holder.read(file)
    if other is not None and _may_live(other, file):
        raise _is_held(what, other, file)
    _remove(file, other, what)


def _remove(file: Path, other: Holder | None, what: str) -> None:
    """Remove the file unless it names another holder by now."""
    aside = _aside(file)
    try:
        file.rename(aside)
    except FileNotFoundError:
        return  # it ended, or somebody else took it away: whoever makes the next one has it
    now = Holder.read(aside)
    if now != other:
        with suppress(OSError):
            os.link(aside, file)
        aside.unlink()
        raise _is_held(what, now, file)
    aside.unlink()


def _aside(file: Path) -> Path:
    """A file beside, of this thread alone; its name is short where a bundle's may be long."""
    return file.with_name(f".{os.uname().nodename}-{os.getpid()}-{threading.get_ident()}")
