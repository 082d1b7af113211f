"""How a command ends when it does not end well: what is said, and the exit code."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from rustybt.data.errors import RustyBTError

FAILED = 1
INTERRUPTED = 130

#: What the operating system refuses, which no change in a program would mend.
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.ENAMETOOLONG),
}


@contextmanager
def reported() -> Iterator[None]:
    """Turn what a user can mend into one message and an exit code; let the rest pass."""
    try:
        yield
    except RustyBTError as error:
        fail(str(error))
    except KeyboardInterrupt as interrupt:
        # The terminal has just echoed ^C. A command that had done something already says what.
        done = interrupt.args[0] if interrupt.args else "nothing was changed"
        click.echo(f"\nInterrupted: {done}.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))


def fail(message: str) -> None:
    """Say what is wrong on stderr and end the command.

    Raises
    ------
    click.exceptions.Exit
    """
    from rich.text import Text

    from rustybt.cli._output import stderr

    stderr().print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)
    raise click.exceptions.Exit(FAILED) from None
