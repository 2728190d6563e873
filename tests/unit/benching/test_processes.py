"""What do all the processes of a contestant use together?"""

import os
import subprocess
import sys

from actors.benching.processes import MARK_VARIABLE, Family, cpu_ticks, pss_kib, stat_fields

STAT = "4242 (a (b) c) S 17 4242 4242 0 -1 4194304 100 200 0 0 7 5 3 1 20 0 1 0 100 1000 50"
SAY_AND_WAIT = "import sys; print('up', flush=True); sys.stdin.read()"


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields() -> None:
    assert stat_fields(STAT)[:2] == ["S", "17"]


def test_cpu_time_is_that_of_user_and_system_with_ended_children() -> None:
    assert cpu_ticks(STAT) == 7 + 5 + 3 + 1


def test_the_proportional_size_is_read_and_not_its_parts() -> None:
    assert pss_kib("Rss:  900 kB\nPss:      321 kB\nPss_Dirty: 12 kB\n") == 321
    assert pss_kib("") == 0


def test_a_family_holds_who_carries_its_mark_whoever_started_it() -> None:
    environment = {**os.environ, MARK_VARIABLE: "test-mark"}
    command = [sys.executable, "-IS", "-c", SAY_AND_WAIT]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        found = Family(os.getppid(), "test-mark")

        assert process.pid in found.pids()
        assert Family(process.pid, "another-mark").pids() == {process.pid}
        assert Family(process.pid, "another-mark").pss_mb() > 0.1
        process.communicate()


def test_a_killed_family_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-IS", "-c", SAY_AND_WAIT], stdin=subprocess.PIPE) as process:
        family = Family(process.pid, "no-mark")

        family.kill()

        assert process.wait(10) == -9
        assert family.pids() == set()
