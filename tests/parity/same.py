"""An assertion about two performance frames."""

import pandas as pd

from rustybt.compat.compare import mismatches

SHOWN = 25


def assert_same(stock: pd.DataFrame, ours: pd.DataFrame, *, exact: bool = False) -> None:
    """Fail with the first mismatches, each named by session, column and both values."""
    found = mismatches(stock, ours, exact=exact)
    shown = "\n".join(str(mismatch) for mismatch in found[:SHOWN])
    assert not found, f"{len(found)} mismatches, the first are\n{shown}"
