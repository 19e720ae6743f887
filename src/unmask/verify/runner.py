"""How does a program run that nobody has read? This file is the child process of `sandbox`.

It is started by its path in an isolated interpreter and imports nothing of this package. It reads
its job from standard input, gives up what it does not need (`confine`), says "ready", runs the
program, then the tests, and only then takes the password out of a pipe and reports it.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import resource
import stat
import struct
import sys
import types
from collections.abc import Sequence
from typing import Any

READ_FILE, READ_FOLDER = 0b100, 0b1000  # two of Landlock's rights
RIGHTS = (13, 14, 15, 15, 16)  # how many rights Landlock's versions 1, 2, ... know
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
PR_SET_DEATH_SIGNAL, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVILEGES = 1, 22, 38
CAPSET = {"x86_64": 126, "aarch64": 91}
SIGKILL = 9
LONGEST = 200  # characters of a reason


def main() -> None:
    """Do the job, report, be gone: no clean-up of the program's making is run."""
    report, password = map(int, sys.argv[1:])
    del sys.argv[1:]
    say, take, leave = os.write, os.read, os._exit  # before a program can replace them
    try:
        job = json.loads(sys.stdin.buffer.read())
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        sys.path += job["packages"]
        limit(job)
        confine(job)
    except BaseException as error:
        say(report, b"refused " + _reason(error).encode(errors="replace"))
        leave(1)
    say(report, b"ready\n")
    reason = attempt(job)
    said = b"passed " + take(password, 64) if reason is None else b"failed " + reason.encode()
    say(report, said + b"\n")
    leave(0)


def attempt(job: dict[str, Any]) -> str | None:
    """Run the program, then the tests with what it defines. None, or why it failed."""
    space = vars(builtins)
    known = dict(space)
    module = types.ModuleType("program")  # not "__main__": guarded code is not part of the answer
    sys.modules["program"] = module  # dataclasses look their module up
    try:
        tests = _compiled(job["tests"], "<tests>")
        exec(_compiled(job["program"], "<program>"), vars(module))
        sys.settrace(None)
        sys.setprofile(None)
        space.clear()
        space.update(known)
        defined = {
            name: value
            for name, value in vars(module).items()
            if name not in known or name in job["shown"]
        }
        exec(tests, {**defined, "__name__": "tests", "__builtins__": builtins})
    except BaseException as error:
        space.update(known)
        return _safe_reason(error, job["tests"])
    return None


def confine(job: dict[str, Any]) -> None:
    """Give up what a program that only computes does not need.

    Raises:
        OSError: this system cannot do it, and the program is not trusted.
    """
    if job["filter"] is None:
        return
    try:
        _confine(job)
    except OSError:
        if not job["trusted"]:
            raise


def _confine(job: dict[str, Any]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.syscall.restype = ctypes.c_long
    _drop_capabilities(libc)
    _must(libc.prctl(PR_SET_DEATH_SIGNAL, SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != job["parent"]:
        raise OSError("the caller is gone")
    _must(libc.prctl(PR_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    _hide_files(libc, job["readable"])
    lines = bytes.fromhex(job["filter"])
    place = ctypes.create_string_buffer(lines)
    head = struct.pack("@HP", len(lines) // 8, ctypes.addressof(place))  # struct sock_fprog
    where = ctypes.create_string_buffer(head)
    _must(libc.prctl(PR_SET_SECCOMP, 2, ctypes.addressof(where), 0, 0), "prctl(PR_SET_SECCOMP)")


def _compiled(text: str, name: str) -> types.CodeType:
    code: types.CodeType = compile(text, name, "exec", dont_inherit=True, optimize=0)
    return code


def limit(job: dict[str, Any]) -> None:
    """Set limits that the kernel keeps.

    Raises:
        OSError, ValueError: it does not keep them, and the program is not trusted.
    """
    memory, seconds = job["memory"], job["processor"]
    # Past the soft limit the kernel says SIGXCPU, which may be ignored; past the hard one it kills.
    wanted = {"AS": (memory, memory), "CPU": (seconds, seconds + 1), "NOFILE": (64, 64)}
    wanted |= {"CORE": (0, 0), "FSIZE": (0, 0), "NPROC": (0, 0)}
    for name, (soft, hard) in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        _, most = resource.getrlimit(kind)
        top = hard if most == resource.RLIM_INFINITY else min(hard, most)
        try:
            resource.setrlimit(kind, (min(soft, top), top))
        except (OSError, ValueError):
            if not job["trusted"]:  # macOS has no limit on memory
                raise


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Even root's program is then nobody special."""
    version_3, this_process = 0x20080522, 0
    head = struct.pack("=Ii", version_3, this_process)
    _must(_system(libc, CAPSET[os.uname().machine], head, bytes(24)), "capset")


def _hide_files(libc: ctypes.CDLL, readable: Sequence[str]) -> None:
    """Let Landlock refuse to read all but libraries. Where the kernel has none, files can be read
    (but neither written nor sent anywhere: the filter sees to that)."""
    version = _system(libc, LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return
    known = (1 << RIGHTS[min(version, len(RIGHTS)) - 1]) - 1
    rules = _system(libc, LANDLOCK_CREATE, struct.pack("=Q", known), 8, 0)
    _must(rules, "landlock_create_ruleset")
    for path in readable:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not every system has every folder
        rights = READ_FILE | READ_FOLDER * stat.S_ISDIR(os.fstat(place).st_mode)
        added = _system(libc, LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, place), 0)
        _must(added, f"landlock_add_rule({path})")
        os.close(place)
    _must(_system(libc, LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _system(libc: ctypes.CDLL, number: int, *arguments: int | bytes | None) -> int:
    """A system call for which Python has no function."""
    whole = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    return int(libc.syscall(ctypes.c_long(number), *whole))


def _must(result: int, name: str) -> None:
    if result < 0:
        raise OSError(f"{name}: {os.strerror(ctypes.get_errno())}")


def _safe_reason(error: BaseException, tests: str) -> str:
    """An exception's own text may be code of the program: slow, endless, raising."""
    try:
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<tests>":
                line = trace.tb_lineno
            trace = trace.tb_next
        where = "" if line is None else f" at: {tests.splitlines()[line - 1].strip()}"
        return _reason(error, where).encode(errors="replace").decode()
    except BaseException:
        return "it raised something that has no text"


def _reason(error: BaseException, where: str = "") -> str:
    text = "".join(f"{type(error).__name__}: {error}".splitlines()[:1])
    return f"{text.removesuffix(': ')[:LONGEST]}{where[:LONGEST]}"


if __name__ == "__main__":
    main()
