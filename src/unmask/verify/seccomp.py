"""Which system calls may a confined program make? The answer as a seccomp filter.

Only what is listed is allowed: to compute, to read files, to write to what is open already, to look
at the clock. So a new system call of a new kernel is refused too. There is no call that makes a
process or thread, a socket, a file, a link or a shared memory, that changes a file's name, mode or
owner, that signals or traces a process, or that starts another program.

    filter = array of (operation, jump if true, jump if false, operand), seccomp(2) and bpf(4)
"""

from __future__ import annotations

import functools
import struct

from unmask.errors import InputError

# name, number on x86-64, number on arm64 (the generic table of Linux); "-": not on this machine.
NUMBERS = """
read 0 63            write 1 64           close 3 57           stat 4 -
fstat 5 80           lstat 6 -            poll 7 -             lseek 8 62
mmap 9 222           mprotect 10 226      munmap 11 215        brk 12 214
rt_sigaction 13 134  rt_sigprocmask 14 135 rt_sigreturn 15 139 pread64 17 67
readv 19 65          writev 20 66         access 21 -          select 23 -
sched_yield 24 124   mremap 25 216        madvise 28 233       dup 32 23
dup2 33 -            pause 34 -           nanosleep 35 101     getitimer 36 102
alarm 37 -           setitimer 38 103     getpid 39 172        exit 60 93
uname 63 160         getcwd 79 17         readlink 89 -        gettimeofday 96 169
getrlimit 97 163     getrusage 98 165     sysinfo 99 179       times 100 153
getuid 102 174       getgid 104 176       geteuid 107 175      getegid 108 177
getppid 110 173      sigaltstack 131 132  statfs 137 43        fstatfs 138 44
gettid 186 178       time 201 -           futex 202 98         sched_getaffinity 204 123
getdents64 217 61    set_tid_address 218 96 restart_syscall 219 128 clock_gettime 228 113
clock_getres 229 114 clock_nanosleep 230 115 exit_group 231 94 newfstatat 262 79
readlinkat 267 78    faccessat 269 48     pselect6 270 72      ppoll 271 73
set_robust_list 273 99 dup3 292 24        getrandom 318 278    membarrier 324 283
statx 332 291        rseq 334 293         close_range 436 436  faccessat2 439 439
"""
# Allowed for some of their arguments only; `_guarded` says which.
OPEN, OPENAT, FCNTL, IOCTL, PRLIMIT = (2, None), (257, 56), (72, 25), (16, 29), (302, 261)

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
WRITES = 0o3 | 0o100 | 0o1000 | 0o20000000  # O_ACCMODE, O_CREAT, O_TRUNC, O_TMPFILE
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; with F_SETOWN a program could have
# the kernel send signals to others.
CONTROLS = (0, 1, 2, 3, 4, 1030)
CLOSE_ON_EXEC = (0x5451, 0x5450)  # FIOCLEX, FIONCLEX: Python sets them on every file

LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # 1: EPERM
Line = tuple[int, int, int, int]


@functools.cache
def program(machine: str) -> bytes:
    """The filter for ``machine`` (of `os.uname`), as an array of struct sock_filter.

    Raises:
        InputError: there is none for such a machine.
    """
    if machine not in AUDIT:
        raise InputError(
            f"machine={machine!r}: programs can be confined on {' and '.join(AUDIT)} only; "
            "take such a machine, or set Limits(trusted=True) for programs that you trust"
        )
    column = list(AUDIT).index(machine)
    lines: list[Line] = [
        (LOAD, 0, 0, MACHINE),
        (EQUAL, 1, 0, AUDIT[machine]),
        (RETURN, 0, 0, KILL),  # the numbers of another machine mean other calls
        (LOAD, 0, 0, NUMBER),
    ]
    for number in numbers(machine).values():
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for numbers_of_call, checks in _guarded():
        number_here = numbers_of_call[column]
        if number_here is not None:
            lines += [(EQUAL, 0, len(checks), number_here), *checks]
    lines.append((RETURN, 0, 0, REFUSE))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def numbers(machine: str) -> dict[str, int]:
    """The calls that are allowed whatever their arguments, by name."""
    words = NUMBERS.split()
    column = list(AUDIT).index(machine) + 1
    rows = zip(words[::3], words[column::3], strict=True)
    return {name: int(number) for name, number in rows if number != "-"}


def _guarded() -> list[tuple[tuple[int | None, int | None], list[Line]]]:
    """Calls with the lines that end in a verdict on their arguments."""
    return [
        (OPEN, _no_bits(1, WRITES)),
        (OPENAT, _no_bits(2, WRITES)),
        (FCNTL, _one_of(1, CONTROLS)),
        (IOCTL, _one_of(1, CLOSE_ON_EXEC)),
        # Of its own process, and only to ask (no new limits: a null pointer).
        (PRLIMIT, _zeros(_offset(0), _offset(2), _offset(2) + 4)),
    ]


def _no_bits(argument: int, bits: int) -> list[Line]:
    return [
        (LOAD, 0, 0, _offset(argument)),
        (ANY_BIT, 0, 1, bits),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]


def _one_of(argument: int, values: tuple[int, ...]) -> list[Line]:
    allowed: list[Line] = []
    for value in values:
        allowed += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    return [(LOAD, 0, 0, _offset(argument)), *allowed, (RETURN, 0, 0, REFUSE)]


def _zeros(*offsets: int) -> list[Line]:
    lines: list[Line] = []
    for offset in offsets:
        lines += [(LOAD, 0, 0, offset), (EQUAL, 1, 0, 0), (RETURN, 0, 0, REFUSE)]
    return [*lines, (RETURN, 0, 0, ALLOW)]


def _offset(argument: int) -> int:
    """Of the lower half of an argument; both machines store it before the upper half."""
    return ARGUMENTS + argument * 8
