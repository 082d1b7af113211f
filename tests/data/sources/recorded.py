"""Real bars, and answers of providers, that were recorded: where they lie beside the repository."""

from pathlib import Path

import pytest

_PLACES = [each / "shared/data" for each in Path(__file__).resolve().parents]
DATA = next((place for place in _PLACES if place.is_dir()), None)

needs_recordings = pytest.mark.skipif(DATA is None, reason="no recorded data beside here")


def recorded(name: str) -> bytes:
    return (DATA / name).read_bytes()
