"""Hostile programs: each does its worst, and neither the machine nor the gateway is the worse for it."""

import asyncio
import os
from pathlib import Path

import pytest

from actors.protocol.trials import NotTried, Trial, Tried
from actors.sandbox import sandbox as subject
from actors.sandbox.sandbox import Sandbox

HARMLESS = "def double(n):\n    return 2 * n"


async def tried(program: str, *checks: str, time_s: float = 5.0, memory_mb: int = 256) -> Tried:
    result = await Sandbox(time_s, memory_mb).try_out(Trial("", (program,), checks))
    if isinstance(result, NotTried):
        pytest.skip(result.reason)
    return result


async def all_refused(error: str, *attempts: str, setup: str = "import os") -> bool:
    """Whether each attempt raises just that error, and none of them ends the program."""
    checks = [f"try:\n    {one}\nexcept {error}:\n    pass\nelse:\n    raise AssertionError" for one in attempts]
    result = await tried(f"{setup}\nset_up = True", "assert set_up", *checks)
    return result == Tried(len(checks) + 1, len(checks) + 1)


async def test_it_counts_the_checks_that_a_program_passes() -> None:
    result = await tried(HARMLESS, "assert double(2) == 4", "assert double(2) == 5", "assert double('a') == 'aa'")

    assert result == Tried(2, 3)


async def test_a_program_may_use_the_standard_library() -> None:
    program = "import hashlib, decimal\nfrom collections import Counter\nfrom datetime import datetime"

    result = await tried(
        program,
        "assert hashlib.md5(b'Hello world').hexdigest().startswith('3e25960a')",
        "assert Counter('aab') == {'a': 2, 'b': 1} and decimal.Decimal('0.1') * 3 == decimal.Decimal('0.3')",
        "assert datetime.strptime('2026-11-23', '%Y-%m-%d').year == 2026",
    )

    assert result == Tried(3, 3)


async def test_the_first_program_that_compiles_is_run_after_the_prelude() -> None:
    trial = Trial(
        "broken(",
        (
            "Here is the function:",
            "def f():\n    return 2",
        ),
        ("assert f() == 2",),
    )

    assert await Sandbox().try_out(trial) == Tried(1, 1)


async def test_prose_after_a_program_does_not_spoil_it() -> None:
    assert await tried(HARMLESS + "\n\nThis doubles a number.", "assert double(1) == 2") == Tried(1, 1)


async def test_a_console_shows_what_is_printed_and_what_is_returned() -> None:
    assert await tried("", r"assert shown(lambda: print('a')) == 'a'", "assert shown(lambda: [1]) == '[1]'") == Tried(
        2, 2
    )


async def test_an_endless_loop_ends_with_its_time_and_keeps_what_was_passed() -> None:
    result = await tried(HARMLESS, "assert double(1) == 2", "while True: pass", "assert True", time_s=1.0)

    assert result == Tried(1, 3)


async def test_a_memory_bomb_hits_its_own_limit() -> None:
    assert await tried("", "b'x' * (1 << 30)", "assert len(b'x' * 1000) == 1000") == Tried(1, 2)


async def test_printing_without_end_costs_nothing_but_time() -> None:
    program = "import sys\nfor _ in range(100): print('x' * 1_000_000); print('y' * 1_000_000, file=sys.stderr)"

    assert await tried(program, "assert True") == Tried(1, 1)


async def test_no_process_and_no_thread_can_be_created() -> None:
    assert await all_refused("PermissionError", "os.fork()", "os.execv('/bin/true', ['true'])")
    assert await all_refused("PermissionError", "os.posix_spawn('/bin/true', ['true'], {})")
    assert await all_refused("RuntimeError", "threading.Thread(target=print).start()", setup="import threading")
    assert await tried("import os", "assert os.system('true') != 0") == Tried(1, 1)


async def test_a_fork_bomb_is_over_before_it_begins() -> None:
    assert await tried("import os\nwhile True: os.fork()", "assert True") == Tried(1, 1)


async def test_no_file_of_the_machine_is_there() -> None:
    here = str(Path(__file__))

    assert await all_refused(
        "FileNotFoundError",
        "open('/etc/passwd')",
        f"open({here!r})",
        "open('/proc/self/status')",
        f"open('/proc/{os.getpid()}/environ')",
        "open('/dev/mem')",
        "open('/../etc/passwd')",
    )
    assert await tried("import os", "assert os.listdir('/') == os.listdir('/..') == []") == Tried(1, 1)


async def test_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-very-secret")

    assert await tried("import os", "assert 'UPSTREAM_KEY' not in os.environ and len(os.environ) < 3") == Tried(1, 1)


KERNEL = """
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
"""


async def test_no_socket_of_any_kind_can_be_opened() -> None:
    local, internet, internet_6, netlink, host = (f"call('socket', {family}, 1, 0)" for family in (1, 2, 10, 16, 40))

    assert await all_refused("PermissionError", local, internet, internet_6, netlink, host, setup=KERNEL)


async def test_little_can_be_written_and_all_of_it_is_gone_afterwards(tmp_path: Path) -> None:
    result = await tried(
        "import os",
        "open('/note', 'w').write('x' * 1000)",
        "assert open('/note').read() == 'x' * 1000",
        "open('/large', 'w').write('x' * 3_000_000)",
        f"open({str(tmp_path / 'note')!r}, 'w')",
    )

    assert result == Tried(2, 4)
    assert "note" not in os.listdir("/")
    assert await tried("", "open('/note')") == Tried(0, 1)


async def test_nobody_else_can_be_seen_or_killed() -> None:
    attempts = f"os.kill({os.getpid()}, 9)", "os.kill(-1, 9)", "os.kill(0, 9)", "os.setsid()", "os.setpgid(0, 0)"

    assert await all_refused("PermissionError", *attempts)
    assert await tried("import os", "assert os.getppid() == 0 and os.getpid() == 1") == Tried(1, 1)


async def test_no_wall_can_be_loosened() -> None:
    assert await all_refused(
        "PermissionError",
        "call('unshare', 0x10000000)",
        "call('mount', b'proc', b'/', b'proc', 0, None)",
        "call('umount2', b'/', 2)",
        "call('chroot', b'/')",
        "call('ptrace', 16, 1, 0, 0)",
        "call('setns', 3, 0)",
        "call('prctl', 38, 0, 0, 0, 0)",
        setup=KERNEL,
    )
    assert await all_refused("ValueError", "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", setup=KERNEL)
    assert await all_refused("OSError", "os.setuid(0)", "os.setgid(0)")


async def test_what_ends_the_program_does_not_end_the_checks() -> None:
    assert await tried("def f():\n    return 1\nraise SystemExit", "assert f() == 1", "exit()") == Tried(1, 2)


async def test_one_that_writes_its_own_verdict_passes_nothing() -> None:
    assert await tried("import os\nos.write(3, b'1' * 10)", "assert False") == Tried(0, 1)


async def test_a_process_that_ends_itself_keeps_only_what_it_passed() -> None:
    assert await tried("import os", "assert True", "os._exit(0)", "assert True") == Tried(1, 3)


async def test_a_cancelled_trial_leaves_no_process() -> None:
    endless = Trial("", ("while True: pass",), ("assert True",))
    before = set(_children())
    task = asyncio.create_task(Sandbox(60.0).try_out(endless))
    for _ in range(1000):
        await asyncio.sleep(0)
        if started := set(_children()) - before:
            break

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert started
    assert not started & set(_children())


async def test_without_walls_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = tmp_path / "cell.py"
    cell.write_text(subject.CELL.read_text().replace('"unshare", NAMESPACES', '"unshare", -1'))
    monkeypatch.setattr(subject, "CELL", cell)

    result = await Sandbox().try_out(Trial("", (HARMLESS,), ("assert double(1) == 2",)))

    assert result == NotTried("the sandbox cannot be had: unshare is refused here: Invalid argument")
    assert await Sandbox().unavailable_because() == result.reason


async def test_a_cell_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "CELL", Path("/nowhere/cell.py"))

    assert await Sandbox().try_out(subject.PROBE) == NotTried("the sandbox did not start in time")


def _children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
