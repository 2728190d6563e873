"""The janitor: ends what carries the instance's name, removes its folder, and waits for the gateway's end to do so."""

import os
import subprocess
import sys
from pathlib import Path

from actors.island import janitor
from actors.island.janitor import INSTANCE_VARIABLE, survivors


def sleeper(instance: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], env={**os.environ, INSTANCE_VARIABLE: instance}, start_new_session=True)


def test_survivors_are_found_by_the_name_they_inherited() -> None:
    mine, other = sleeper("janitor-test-1"), sleeper("janitor-test-2")

    found = list(survivors("janitor-test-1"))

    for process in (mine, other):
        process.kill()
        process.wait()
    assert found == [mine.pid]


def test_at_the_gateways_end_processes_and_folder_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    folder.mkdir()
    left_over = sleeper("janitor-test-3")
    watcher = subprocess.Popen(
        [sys.executable, "-IS", janitor.__file__, "janitor-test-3", str(folder)], stdin=subprocess.PIPE
    )
    assert folder.exists()

    watcher.communicate(timeout=20)  # closes its standard input, as the end of the gateway does

    assert left_over.wait(timeout=5) == -9
    assert not folder.exists()
