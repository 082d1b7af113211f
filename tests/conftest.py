"""What holds for every test: a zipline root of its own, and no network beyond this machine."""

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# No deadline: the machine may be busy. The same examples each time, so that a failure is one for
# everybody; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("rustybt", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("rustybt")

_LOCAL_NAMES = {None, "", "localhost"}
#: Connections beyond this machine that the running test tried.
_outside: list[str] = []


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if not isinstance(host, str) or host in _LOCAL_NAMES:
        return host in _LOCAL_NAMES
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_the_outside(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        # The address of a Unix socket is a path, not a tuple.
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_local(host):
        _outside.append(f"{event} to {host}")
        raise ConnectionRefusedError(f"tests stay on this machine: {event} to {host}")


# An audit hook sees every socket of the interpreter, whoever opens it; it cannot be removed.
sys.addaudithook(_refuse_the_outside)


@pytest.fixture(autouse=True)
def stay_on_this_machine() -> Iterator[list[str]]:
    """Fail a test that tries to reach another machine, also if it swallows the refusal."""
    _outside.clear()
    yield _outside
    if _outside:
        pytest.fail(f"the test left this machine: {', '.join(_outside)}")


@pytest.fixture(autouse=True)
def zipline_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``ZIPLINE_ROOT``."""
    root = tmp_path / "zipline"
    monkeypatch.setenv("ZIPLINE_ROOT", str(root))
    return root


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for caches and request budgets, not the user's."""
    home = tmp_path / "cache-home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home
