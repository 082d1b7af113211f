"""What zipline says of itself while it runs, kept from the terminal of a person."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from sysconfig import get_path

#: Modules whose warnings are about their own code, which the person cannot change.
_INTERNAL = r"(zipline|empyrical|bcolz)(\.|$)"
_ABOUT_CODE = (FutureWarning, DeprecationWarning, RuntimeWarning)

#: As the command of zipline prints an algorithm's log.
_FORMAT = "[%(asctime)s-%(levelname)s][%(name)s]\n %(message)s"
_DATES = "%Y-%m-%dT%H:%M:%S%z"


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings about zipline's own code, and the log of installed packages.

    The algorithm's warnings and its log from INFO on are shown on stderr, as zipline does, and
    what any package logs as WARNING or worse.
    """
    with warnings.catch_warnings(), _logging():
        for category in _ABOUT_CODE:
            warnings.filterwarnings("ignore", category=category, module=_INTERNAL)
        yield


@contextmanager
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT, _DATES))
    handler.addFilter(_is_for_people)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _is_for_people(record: logging.LogRecord) -> bool:
    installed = record.pathname.startswith((get_path("purelib"), get_path("platlib")))
    return record.levelno >= logging.WARNING or not installed
