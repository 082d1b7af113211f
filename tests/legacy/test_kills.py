"""A few of the kills; `python -m tests.legacy.kills` does a hundred."""

import subprocess
import sys
from pathlib import Path


def test_a_killed_migration_is_finished_by_the_next_run():
    command = [sys.executable, "-W", "ignore", "-m", "tests.legacy.kills", "--kills", "4"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all finished" in done.stdout
