"""Errors inside a user's algorithm: the traceback, without the frames that are not theirs."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rustybt.cli._outcome import FAILED


@contextmanager
def algorithm_errors(filename: str) -> Iterator[None]:
    """Print the traceback of an error in an algorithm, cut to what its author wrote.

    Parameters
    ----------
    filename : str
        What the frames of the algorithm call its file.
    """
    try:
        yield
    except Exception as error:
        if not _in_algorithm(error, filename):
            raise
        click.echo(_cut(error, filename), err=True, nl=False)
        raise click.exceptions.Exit(FAILED) from None


def _in_algorithm(error: BaseException, filename: str) -> bool:
    if isinstance(error, SyntaxError) and error.filename == filename:
        return True
    return any(
        frame.f_code.co_filename == filename for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _cut(error: BaseException, filename: str) -> str:
    shown = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = shown
    while part is not None:
        part.stack = traceback.StackSummary.from_list(_own_frames(part.stack, filename))
        part = part.__cause__ or (None if part.__suppress_context__ else part.__context__)
    return "".join(shown.format())


def _own_frames(stack: list[traceback.FrameSummary], filename: str) -> list[traceback.FrameSummary]:
    """The frames from the algorithm's first one on, without those of zipline and of rustybt."""
    own = [index for index, frame in enumerate(stack) if frame.filename == filename]
    if not own:
        return [frame for frame in stack if not _of_engine(frame)]
    return [
        frame for frame in stack[own[0] :] if frame.filename == filename or not _of_engine(frame)
    ]


def _of_engine(frame: traceback.FrameSummary) -> bool:
    parts = Path(frame.filename).parts
    here = Path(__file__).parents[1]
    return "zipline" in parts or frame.filename.startswith(f"{here}{os.sep}")
