"""The one hook of a build backend (PEP 517) that a download needs."""

import shutil
from email.parser import HeaderParser
from pathlib import Path


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: dict[str, str] | None = None
) -> str:
    """Hand out the PKG-INFO of the source distribution in the working directory."""
    record = Path("PKG-INFO")
    headers = HeaderParser().parsestr(record.read_text())
    name = f"{headers['Name'].replace('-', '_')}-{headers['Version']}.dist-info"
    target = Path(metadata_directory, name)
    target.mkdir()
    shutil.copyfile(record, target / "METADATA")
    return name
