"""The fast run: zipline's simulation, with the parts that cost time exchanged by subclasses.

Each part does what zipline's does, to the bit, for equities on panels, and hands everything that it
does not know (futures, fetched data, other readers, other metrics) to the part that it is derived
from. ``engine="stock"`` runs zipline's own parts over the same readers.
"""

import os
from collections.abc import Mapping

from rustybt.data.errors import OptionError

#: ``fast``: the parts of this package; ``stock``: zipline's own.
ENGINES = ("fast", "stock")
#: Names the engine of runs for which nobody else does.
VARIABLE = "RUSTYBT_ENGINE"


def engine_named(asked: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The engine that is asked for, else that of the environment, else ``fast``.

    Raises
    ------
    OptionError
        If there is no such engine.
    """
    name = asked or environ.get(VARIABLE) or ENGINES[0]
    if name not in ENGINES:
        where = "engine" if asked else VARIABLE
        raise OptionError(f"{where} is {name!r}; use {' or '.join(ENGINES)}")
    return name
