"""Old catalogs and bundles made into new ones, in a way that can be undone.

`make_plan` says what there is and changes nothing; `apply` makes versions beside what is old and
can be killed and run again; `revert` removes what `apply` made. docs/migration.md is the guide.
"""

from rustybt.legacy.migration._apply import Applied, Outcome, apply
from rustybt.legacy.migration._convert import MigrationError
from rustybt.legacy.migration._facts import Claim, Conflict, FileFacts, Item, Plan, Problem
from rustybt.legacy.migration._plan import make_plan
from rustybt.legacy.migration._revert import Reverted, revert

__all__ = [
    "Applied",
    "Claim",
    "Conflict",
    "FileFacts",
    "Item",
    "MigrationError",
    "Outcome",
    "Plan",
    "Problem",
    "Reverted",
    "apply",
    "make_plan",
    "revert",
]
