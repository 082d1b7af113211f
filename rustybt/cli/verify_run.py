"""``rustybt verify-run RESULT``: are the inputs of a run still at hand?"""

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rustybt.cli._params import json_option

if TYPE_CHECKING:
    from rustybt.data.bundles.lock import DataLock


@click.command("verify-run")
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def verify_run(result: Path, as_json: bool) -> None:
    """Prove that the data of a run are at hand, byte for byte.

    RESULT is what "rustybt run" wrote: the pickle of -o, or the output of --json. Exits with 1 if
    the version, its content or the calendar is another one; other versions of libraries are said.
    A pickle can do anything when it is read: give only files that you trust.
    """
    from rustybt.cli._outcome import fail
    from rustybt.cli._output import facts, heading, print_json

    lock = read_lock(result)
    differ, libraries = lock.differences(), lock.other_libraries()
    if as_json:
        print_json({"lock": lock.to_dict(), "differences": differ, "libraries": libraries})
    else:
        heading(f"{result}: bundle {lock.bundle}, version {lock.version}")
        facts(
            {
                "data": "the very same" if not differ else None,
                "libraries": "\n".join(libraries) or "the same versions",
                "content": f"sha256 {lock.content_hash}",
            }
        )
    if differ:
        fail("; ".join(differ))


def read_lock(path: Path) -> "DataLock":
    """The data lock in a result.

    Raises
    ------
    OptionError
        If the file is no result, or has no lock.
    """
    from rustybt.data.bundles.lock import DataLock

    return DataLock.from_run(_facts(path))


#: What reading a file may raise that is neither JSON nor a pickle, or one of something else.
_UNREADABLE = (
    pickle.UnpicklingError, EOFError, ImportError, AttributeError, IndexError, KeyError, ValueError,
)  # fmt: skip


def _facts(path: Path) -> dict[str, Any]:
    from rustybt.data.errors import OptionError

    try:
        facts = _read(path)
    except _UNREADABLE as error:
        raise OptionError(f"{path} is no result of a rustybt run: {error}") from error
    if not isinstance(facts, dict):
        raise OptionError(f"{path} is no result of a rustybt run")
    return facts


def _read(path: Path) -> Any:
    """What a file says of the run, if it is a result."""
    if path.read_bytes()[:1] in (b"{", b"["):
        return json.loads(path.read_text())
    import pandas as pd

    frame = pd.read_pickle(path)  # noqa: S301  the user's own result, as the help says
    return getattr(frame, "attrs", {}).get("rustybt")
