"""The page on new sources: its package is found by its entry point, and passes its own test."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs" / "new-source.md"


def blocks():
    """File name -> its content, of every block of code that begins with the name of a file."""
    found = re.findall(r"```\w+\n(# ([\w.]+)\n.*?)```", PAGE.read_text(), re.DOTALL)
    return {name: content for content, name in found}


@pytest.fixture
def run(tmp_path):
    """Run a module where the page's package is installed."""
    for name, content in blocks().items():
        (tmp_path / name).write_text(content)
    project = tomllib.loads(blocks()["pyproject.toml"])["project"]
    installed = tmp_path / f"rustybt_candles-{project['version']}.dist-info"
    installed.mkdir()
    described = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (installed / "METADATA").write_text(described)
    points = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in named.items())
        for group, named in project["entry-points"].items()
    ]
    (installed / "entry_points.txt").write_text("\n".join(points))
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])

    def ran(*arguments):
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        )  # fmt: skip

    return ran


@pytest.mark.slow
def test_its_test_passes(run):
    done = run("pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_candles.py")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_its_source_is_found_by_name(run):
    listed = run("rustybt", "sources", "info", "candles", "--json")
    assert listed.returncode == 0, listed.stderr
    assert '"Daily bars of candles.example."' in listed.stdout
    assert '"rustybt-candles"' in listed.stdout
