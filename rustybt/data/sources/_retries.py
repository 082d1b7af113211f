"""How often a provider is asked again, and after how long."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Retries:
    """How often a request is repeated, and the seconds between (doubling, plus a random part)."""

    attempts: int = 4
    wait_initial: float = 0.5
    wait_max: float = 8.0
    wait_jitter: float = 0.5
