"""Answers of providers that were recorded, where they are to be had: beside the repository."""

from pathlib import Path

import pytest

_PLACES = [each / "shared/data/responses" for each in Path(__file__).resolve().parents]
RESPONSES = next((place for place in _PLACES if place.is_dir()), None)

needs_recordings = pytest.mark.skipif(RESPONSES is None, reason="no recorded answers beside here")


def recorded(name: str) -> bytes:
    return (RESPONSES / name).read_bytes()
