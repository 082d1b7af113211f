"""What the environment asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zl_swap.roles import BUNDLE_CORE, ROLES

_PREFIX = "ZL_SWAP_"
_CONVERTERS = {"CONVERT_DAILY": "DAILY_READER", "CONVERT_MINUTE": "MINUTE_READER"}


@dataclass(frozen=True)
class Settings:
    """The plugin's environment variables; see the package's docstring.

    Attributes
    ----------
    classes, converters : dict of str to str
        Role to ``package.module:Name``.
    """

    classes: dict[str, str] = field(default_factory=dict)
    converters: dict[str, str] = field(default_factory=dict)
    bundle_core: str | None = None
    install: str | None = None
    precision: str | None = None
    inapplicable: Path | None = None
    report: Path | None = None
    trip: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read them. Raises ValueError for a name of the prefix that means nothing."""
        given = {
            key.removeprefix(_PREFIX): value
            for key, value in environ.items()
            if key.startswith(_PREFIX) and value
        }
        inapplicable, report = given.pop("INAPPLICABLE", None), given.pop("REPORT", None)
        converted = {role: given.pop(key, None) for key, role in _CONVERTERS.items()}
        settings = cls(
            classes={role: given.pop(role) for role in ROLES if role in given},
            converters={role: name for role, name in converted.items() if name},
            bundle_core=given.pop(BUNDLE_CORE, None),
            install=given.pop("INSTALL", None),
            precision=environ.get("RUSTYBT_PRECISION"),
            inapplicable=Path(inapplicable) if inapplicable else None,
            report=Path(report) if report else None,
            trip=given.pop("TRIP", "0") == "1",
        )
        if given:
            raise ValueError(f"unknown variables: {', '.join(_PREFIX + key for key in given)}")
        return settings
