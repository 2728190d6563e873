"""What happens inside: this file is run by an interpreter of its own, shuts itself in, and only then runs code.

It needs nothing but the standard library, and tells what came of it on standard output: `ready`, a line break, and
then `1` or `0` for each check; or, before anything was run, `!` and the reason why it could not be shut in.

The walls, each of which holds alone:
- namespaces of its own: no other process can be seen or signalled, no network device, no host name;
- an empty root: a small file system in memory, from which the old one is gone, `/proc` included;
- no capabilities, no way to gain any, nobody's user id where the gateway runs as root;
- limits of CPU time, memory, file size and open files;
- a filter in the kernel that refuses to create processes, threads and sockets, and what could loosen a wall.
What the code may import is imported before the door is shut.
"""

import ast
import contextlib
import ctypes
import io
import json
import os
import platform
import resource
import signal
import struct
import sys
from typing import Any, NoReturn

NOBODY = 65_534
OPEN_FILES = 32
FILE_BYTES = 1 << 20
VERDICT_FD = 3
TRIED_SHORTER = 200

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP = 0x20000000, 0x40000000, 0x02000000
NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 8, 16384, 1 << 18, 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
CAPABILITY_VERSION = 0x20080522

# Numbers of the kernel's calls, for the machines on which Python is common; elsewhere nothing is run.
# Source: https://github.com/torvalds/linux/blob/master/arch/x86/entry/syscalls/syscall_64.tbl and
# https://github.com/torvalds/linux/blob/master/include/uapi/asm-generic/unistd.h
MACHINES = ("x86_64", "aarch64")
AUDIT_ARCH = (0xC000003E, 0xC00000B7)
REFUSED = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "fsopen": (430, 430),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "seccomp": (317, 277),
    "setns": (308, 268),
    "setpgid": (109, 154),
    "setsid": (112, 157),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vfork": (58, None),
}
X32_CALLS = 0x40000000  # x86_64's second way to the same calls

KEPT_OUT = {"antigravity", "ctypes", "idlelib", "multiprocessing", "socket", "ssl", "subprocess", "this", "tkinter"}
NEEDED_LATER = ("_strptime", "encodings.idna", "unicodedata", "stringprep")  # what others import while they run


class NoWalls(Exception):
    """A wall cannot be had here; the message says which."""


def main() -> None:
    """Reads a job from standard input and runs it in a process of its own."""
    job = json.load(sys.stdin)
    os.dup2(1, VERDICT_FD)
    for number in (0, 1, 2):  # printing may cost no memory, and reading gives nothing
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    for name in _importable(job["programs"], job["prelude"]):
        with contextlib.suppress(Exception):
            __import__(name)
    try:
        _leave_the_others()
    except (NoWalls, OSError) as error:
        _refuse(error)
    signal.alarm(int(job["time_s"]) + 2)  # should nobody be left to end it
    inside = os.fork()
    if inside == 0:
        try:
            _shut_in(job["cpu_s"], job["memory_bytes"])
        except (NoWalls, OSError) as error:
            _refuse(error)
        os.write(VERDICT_FD, b"ready\n")
        _try_out(job["prelude"], job["programs"], job["checks"])
        os._exit(0)
    os.close(VERDICT_FD)
    os.waitpid(inside, 0)


def _refuse(error: Exception) -> NoReturn:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    os.write(VERDICT_FD, f"!{reason}".encode())
    os._exit(1)


# ---- walls ----

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: Any) -> None:
    """Calls the C library. Raises `NoWalls` where the kernel refuses."""
    if getattr(_libc, function)(*arguments) != 0:
        raise NoWalls(f"{function} is refused here: {os.strerror(ctypes.get_errno())}")


def _prctl(option: int, argument: Any) -> None:
    _call("prctl", option, ctypes.c_ulong(argument), 0, 0, 0)


def _leave_the_others() -> None:
    """Gives up root, and leaves every namespace of the machine."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise NoWalls(f"code is run on Linux and {' or '.join(MACHINES)} alone")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _prctl(PR_SET_DUMPABLE, 1)  # else the maps below would still be root's
    user, group = os.geteuid(), os.getegid()
    _call("unshare", NAMESPACES)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{NOBODY} {user} 1")
    _write("/proc/self/gid_map", f"{NOBODY} {group} 1")


def _shut_in(cpu_s: int, memory_bytes: int) -> None:
    """Puts up the walls around this process, which is the first one of its namespace."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir("/")
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    options = b"size=1m,nr_inodes=64,mode=700"
    _call("mount", b"tmpfs", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)
    os.chdir("/tmp")
    _call("syscall", _number("pivot_root"), b".", b".")
    _call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    os.closerange(VERDICT_FD + 1, 4096)
    for what, limit in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    _give_up_capabilities()
    _filter_calls()


def _give_up_capabilities() -> None:
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) == 0:
        capability += 1
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    _call("capset", header, bytes(24))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _filter_calls() -> None:
    """Refuses calls by number. Source: https://docs.kernel.org/userspace-api/seccomp_filter.html"""
    load, equal, at_least, end = 0x20, 0x15, 0x35, 0x06  # BPF: word at an offset; jump if so; return
    kill, refuse, allow = 0x80000000, 0x00050000 | 1, 0x7FFF0000  # the process; EPERM; go on
    numbers = [number for name in REFUSED if (number := _number(name)) is not None]
    steps = [
        (load, 0, 0, 4),
        (equal, 1, 0, AUDIT_ARCH[MACHINES.index(platform.machine())]),
        (end, 0, 0, kill),
        (load, 0, 0, 0),
    ]
    steps += [(at_least, 0, 1, X32_CALLS), (end, 0, 0, kill)]
    steps += [(equal, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(end, 0, 0, allow), (end, 0, 0, refuse)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filter_mode, where = 2, struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    _call("prctl", PR_SET_SECCOMP, ctypes.c_ulong(filter_mode), where, 0, 0)


def _number(call: str) -> int | None:
    """The number of a kernel's call on this machine, `None` where it has no such call."""
    return REFUSED[call][MACHINES.index(platform.machine())]


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


# ---- the code ----


def _importable(*sources: Any) -> list[str]:
    """The modules of the standard library that the code names, as far as they are of use in here."""
    found: set[str] = set()
    for source in (one for group in sources for one in ([group] if isinstance(group, str) else group)):
        with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import):
                    found.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                    found.add(node.module)
    known = {name for name in found if name.partition(".")[0] in sys.stdlib_module_names - KEPT_OUT}
    return sorted(known) + list(NEEDED_LATER)


def _try_out(prelude: str, programs: list[str], checks: list[str]) -> None:
    """Runs the code, then each check by itself, and writes what came of it as it comes."""
    space: dict[str, Any] = {"__name__": "candidate"}
    with contextlib.suppress(BaseException):  # the question's own code need not be whole
        exec(compile(prelude, "prelude", "exec"), space)
    with contextlib.suppress(BaseException):  # what ends it, an exit included, does not end the checks
        exec(_first_that_compiles(programs), space)
    for check in checks:
        passed = False
        with contextlib.suppress(BaseException):
            exec(check, {"true": True, "false": False, "null": None, "shown": _shown, **space})
            passed = True
        os.write(VERDICT_FD, b"1" if passed else b"0")


def _first_that_compiles(programs: list[str]) -> Any:
    """The first program that is Python; else the first of which the beginning is, without what follows."""
    for source in programs:
        with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
            return compile(source, "candidate", "exec")
    for source in programs:
        lines = source.splitlines()
        for end in range(len(lines) - 1, max(0, len(lines) - TRIED_SHORTER), -1):
            with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
                return compile("\n".join(lines[:end]), "candidate", "exec")
    raise SyntaxError("none of the programs is Python")


def _shown(function: Any) -> str:
    """What a console would show of calling it."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        value = function()
    told = printed.getvalue().splitlines() + ([] if value is None else [repr(value)])
    return "\n".join(line.strip() for line in told)


if __name__ == "__main__":
    main()
