"""The sandbox: honest programs pass, and what attacks it is stopped and has failed."""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.errors import InputError
from unmask.verify import sandbox, seccomp
from unmask.verify.sandbox import Limits, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="confines on Linux only")
SHORT = Limits(processor=1, seconds=1.5)
RIGHT = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return x\n"
TESTS = "assert double(4) == 8\n"
X86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")


def has_landlock():
    return ctypes.CDLL(None).syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), 1) > 0


def verdict(program, limits=SHORT, **more):
    return run(textwrap.dedent(program), limits, **more)


# Honest programs


def test_a_right_program_passes():
    assert run(RIGHT, tests=TESTS) == sandbox.Verdict("passed")


def test_a_wrong_program_fails_with_the_assert_that_said_so():
    assert run(WRONG, tests=TESTS) == sandbox.Verdict(
        "failed", "AssertionError at: assert double(4) == 8"
    )


@pytest.mark.parametrize(
    "program",
    [
        "import collections, datetime, decimal, hashlib, heapq, itertools, random, re, typing",
        "import numpy; assert numpy.ones(3).sum() == 3",
        "import hashlib; assert hashlib.md5(b'').hexdigest()[:4] == 'd41d'",
        "import datetime; datetime.datetime.now().astimezone()",
        "import random; random.SystemRandom().random()",
        "if __name__ == '__main__': raise SystemExit('this is for the command line')",
        "def f(n): return n and f(n - 1)\nf(900)",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "for _ in range(300): print('x' * 10**6)",
        "import sys\nfor _ in range(300): sys.stderr.write('x' * 10**6)",
        """
        from __future__ import annotations
        from dataclasses import dataclass
        @dataclass
        class A:
            b: int
        assert A(1).b == 1
        """,
    ],
)
def test_what_only_computes_passes(program):
    assert verdict(program, Limits()) == sandbox.Verdict("passed")


def test_a_program_may_define_a_builtin_that_it_was_asked_for():
    program = "def sum(a, b):\n    return a - b\n"
    assert run(program, tests="assert sum(3, 2) == 1", shown=["sum"]).passed
    assert not run(program, tests="assert sum(3, 2) == 1").passed


def test_many_threads_get_their_own_verdicts():
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        asked = [RIGHT, WRONG] * 6
        found = list(pool.map(lambda program: run(program, tests=TESTS).passed, asked))
    assert found == [True, False] * 6


# Leaving early, and pretending


@pytest.mark.parametrize(
    "leave",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "quit()",
        "raise KeyboardInterrupt",
        "import ctypes; ctypes.CDLL(None)._exit(0)",
        "import os; os.abort()",
        "import signal; signal.raise_signal(signal.SIGKILL)",
        "raise BaseException('passed')",
    ],
)
def test_whoever_leaves_before_the_tests_has_failed(leave):
    assert not run(f"{WRONG}{leave}", SHORT, tests=TESTS).passed
    assert not run(f"def double(x):\n    {leave}", SHORT, tests=TESTS).passed


@pytest.mark.parametrize(
    "pretence",
    [
        "print('passed')",
        "import os; os.write(1, b'passed\\n'); os._exit(0)",
        """
        import os
        for end in range(64):
            try: os.write(end, b'passed\\n')
            except OSError: pass
        os._exit(0)
        """,
        """
        import os
        for end in range(64):
            try: os.write(end, b'passed ' + b'0' * 32 + b'\\n')
            except OSError: pass
        """,
        """
        import os
        while True:
            for end in range(3, 64):
                try: os.write(end, b'passed ' * 100)
                except OSError: pass
        """,
        "import os; os.closerange(0, 256)",
        "import atexit; atexit.register(print, 'passed')",
        "import os; os._exit = os.write = os.read = lambda *_: b''",
        "import builtins; builtins.AssertionError = builtins.Exception = None",
        "import sys; sys.settrace(lambda *_: None)",
        "__debug__ = False",
        "import sys; sys.modules.clear()",
    ],
)
def test_no_pretence_makes_a_wrong_program_pass(pretence):
    assert not run(WRONG + textwrap.dedent(pretence), SHORT, tests=TESTS).passed


@pytest.mark.parametrize(
    "swap",
    [
        "abs = lambda x: 0",
        "import builtins; builtins.abs = lambda x: 0",
        "__builtins__['abs'] = lambda x: 0",
        "import builtins; vars(builtins)['abs'] = lambda x: 0",
        "import builtins; builtins.__dict__.clear()",
    ],
)
def test_tests_have_builtins_of_their_own(swap):
    assert not run(f"{WRONG}{swap}", tests="assert abs(double(4) - 8) < 1").passed


def test_asserts_count_even_if_the_caller_has_them_switched_off(monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    assert not run(WRONG, tests=TESTS).passed


# Time and memory


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import time; time.sleep(1e9)",
        "import signal; signal.pause()",
        "10 ** 10 ** 9",
        """
        import signal, time
        for one in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
            try: signal.signal(one, signal.SIG_IGN)
            except OSError: pass
        while True: time.sleep(1)
        """,
        """
        import signal
        for one in (signal.SIGXCPU, signal.SIGTERM, signal.SIGALRM, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        while True: pass
        """,
        """
        while True:
            try:
                while True: pass
            except BaseException: pass
        """,
        "class Slow(Exception):\n  def __str__(self):\n    while True: pass\nraise Slow",
    ],
)
def test_what_does_not_end_is_ended(program):
    assert verdict(program).outcome == "timed out"


@pytest.mark.parametrize(
    "program",
    [
        "held = bytearray(10**10)",
        "held = []\nwhile True: held.append(bytearray(10**7))",
        "import mmap; mmap.mmap(-1, 10**10)",
        "held = 'x' * 10**10",
    ],
)
def test_ten_gigabytes_are_not_to_be_had(program):
    assert verdict(program, Limits(processor=5, memory=256)).outcome == "failed"


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
        "import ctypes; ctypes.string_at(0)",
        "(" * 5000 + ")" * 5000,
        "-" * 10**6 + "1",
    ],
)
def test_what_crashes_has_not_passed(program):
    assert not run(program, SHORT).passed


def test_a_limit_that_is_none_is_refused():
    for wrong in ({"processor": 0}, {"memory": 1}, {"seconds": 0.0}, {"processor": True}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Limits(**wrong)


# Processes


@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true') == 0 or 1 / 0",
        "import multiprocessing; multiprocessing.Process(target=print).start()",
        "import threading; threading.Thread(target=print).start()",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    os.fork()\n    while True: pass",
        "import os; os.kill(os.getppid(), 0)",
    ],
)
def test_no_second_process_and_no_signal(program):
    assert verdict(program).outcome == "failed"


def test_a_patient_fork_bomb_makes_no_process_either():
    bomb = """
    import os
    made = 0
    for _ in range(1000):
        try:
            os.fork()
            made += 1
        except OSError:
            pass
    """
    assert verdict(bomb, tests="assert made == 0").passed


@pytest.mark.slow
def test_a_caller_that_is_killed_takes_the_program_with_it():
    code = (
        "from unmask.verify.sandbox import *; run('import time; time.sleep(1e9)', Limits(5, 1e5))"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    children = Path(f"/proc/{caller.pid}/task/{caller.pid}/children")
    if not children.exists():
        caller.kill()
        caller.wait()
        pytest.skip("this kernel does not list children")
    try:
        while not (found := children.read_text().split()):
            assert caller.poll() is None
            time.sleep(0.05)
        while b"runner.py" not in Path(f"/proc/{found[0]}/cmdline").read_bytes():
            time.sleep(0.05)
        time.sleep(0.5)  # it has its wish to die with its caller once it says "ready"
    finally:
        caller.kill()
        caller.wait()
    while Path(f"/proc/{found[0]}").exists():  # else the suite would wait for ever
        if Path(f"/proc/{found[0]}/stat").read_text().split(") ")[1][0] == "Z":
            break
        time.sleep(0.05)


@X86
def test_system_calls_by_number_are_refused():
    program = """
    import ctypes
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    names = dict(
        socket=41, socketpair=53, connect=42, bind=49, clone=56, fork=57, vfork=58, execve=59,
        kill=62, tkill=200, tgkill=234, ptrace=101, shmget=29, msgget=68, semget=64, truncate=76,
        rename=82, mkdir=83, rmdir=84, creat=85, link=86, unlink=87, symlink=88, chmod=90,
        chown=92, utime=132, mknod=133, prctl=157, setrlimit=160, chroot=161, mount=165,
        setxattr=188, keyctl=250, unshare=272, setns=308, process_vm_readv=310, seccomp=317,
        memfd_create=319, bpf=321, userfaultfd=323, execveat=322, io_uring_setup=425,
        pidfd_open=434, clone3=435, openat2=437, memfd_secret=447, x32_socket=0x40000000 + 41,
    )
    zero = [ctypes.c_long(0)] * 6
    names = {name: (number, zero) for name, number in names.items()}
    word = lambda *values: [ctypes.c_long(value) for value in values]
    names['fcntl F_SETOWN'] = 72, word(0, 8, 1)
    names['ioctl TIOCSTI'] = 16, word(0, 0x5412, 0)
    names['prlimit of another'] = 302, word(1, 0, 0, 0)
    limit = (ctypes.c_ulong * 2)(2**40, 2**40)
    names['prlimit, a new limit'] = 302, word(0, 9, ctypes.addressof(limit), 0)
    answers = {}
    for name, (number, arguments) in names.items():
        ctypes.set_errno(0)
        answers[name] = call(ctypes.c_long(number), *arguments), ctypes.get_errno()
    """
    tests = "assert set(answers.values()) == {(-1, 1)}, answers"
    assert verdict(program, tests=tests) == sandbox.Verdict("passed")


@X86
def test_calls_in_the_dress_of_another_machine_end_the_program():
    program = """
    import ctypes, mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex('b814000000cd80c3'))  # 32-bit getpid: mov eax, 20; int 0x80; ret
    place = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_int)(place)()
    """
    assert verdict(program).outcome == "crashed"


# Files, network, secrets


@pytest.fixture
def open_folder(tmp_path):
    """A folder that anybody may write to, with a file in it."""
    tmp_path.chmod(0o777)
    (tmp_path / "kept").write_text("secret")
    (tmp_path / "kept").chmod(0o666)
    return tmp_path


@pytest.mark.parametrize(
    "act",
    [
        "open('new', 'w')",
        "open('kept', 'w')",
        "open('kept', 'a')",
        "open('kept', 'r+')",
        "os.open('new', os.O_CREAT)",
        "os.open('kept', os.O_RDONLY | os.O_TRUNC)",
        "os.open('.', os.O_TMPFILE | os.O_RDWR)",
        "os.remove('kept')",
        "os.rename('kept', 'new')",
        "os.mkdir('new')",
        "os.symlink('kept', 'new')",
        "os.link('kept', 'new')",
        "os.truncate('kept', 0)",
        "os.chmod('kept', 0)",
        "os.utime('kept')",
        "os.mkfifo('new')",
    ],
)
def test_files_stay_as_they_are(open_folder, act):
    before = (open_folder / "kept").stat()
    for name in ("kept", "new", "."):
        act = act.replace(f"'{name}'", f"{str(open_folder / name)!r}")
    assert run(f"import os\n{act}").outcome == "failed"
    assert run(f"import os\ntry: {act}\nexcept OSError: pass").passed
    after = (open_folder / "kept").stat()
    assert [path.name for path in open_folder.iterdir()] == ["kept"]
    assert (after.st_mode, after.st_size, after.st_mtime_ns) == (
        before.st_mode,
        before.st_size,
        before.st_mtime_ns,
    )


def test_there_is_no_place_for_temporary_files():
    assert run("import tempfile; tempfile.TemporaryFile()").outcome == "failed"


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("path", ["kept", "/etc/passwd", "/proc/self/environ", "/", "/proc"])
def test_files_and_folders_of_others_cannot_be_read(open_folder, path):
    place = str(open_folder / path)
    act = f"os.listdir({place!r})" if Path(place).is_dir() else f"open({place!r}, 'rb').read()"
    found = run(f"import os\n{act}")
    assert found.outcome == "failed"
    assert "Permission denied" in found.reason


def test_the_environment_of_the_caller_is_not_there(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    program = "import os\nvalues = list(os.environ.values())"
    assert run(program, tests="assert 'hf_secret' not in values and len(values) < 5").passed


def test_standard_input_is_empty():
    assert run("input()").reason.startswith("EOFError")


@pytest.mark.parametrize("kind", ["loopback", "path", "abstract"])
def test_nobody_can_be_called(tmp_path, kind):
    family = socket.AF_INET if kind == "loopback" else socket.AF_UNIX
    name = {"loopback": ("127.0.0.1", 0), "path": str(tmp_path / "s"), "abstract": "\0unmask-t"}
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(name[kind])
        server.listen()
        server.settimeout(0)
        number, where = int(family), server.getsockname()
        found = run(f"import socket; socket.socket({number}).connect({where!r})")
        assert found.outcome == "failed"
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "program",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80))",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "import socket; socket.socketpair()",
        "import urllib.request; urllib.request.urlopen('http://192.0.2.1')",
        "import asyncio; asyncio.run(asyncio.sleep(0))",
    ],
)
def test_there_is_no_network(program):
    assert run(program).outcome == "failed"


# Any text, and systems that cannot confine


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "def f(:", "raise Exception('\ud800')"])
def test_any_text_gets_a_verdict(text):
    assert run(text, SHORT).outcome == ("passed" if text == "" else "failed")
    assert run("", SHORT, tests=text).outcome == ("passed" if text == "" else "failed")


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=60))
def test_whatever_the_text_is_there_is_a_verdict(text):
    assert run(text, SHORT).reason.count("\n") == 0


@pytest.mark.parametrize(
    "raised",
    [
        "class E(Exception):\n  def __str__(self): return 'x' * 10**7\nraise E",
        "class E(Exception):\n  def __str__(self): raise E\nraise E",
        "raise Exception('a\\nb\\rpassed\\n')",
        "exec('def f(): raise ValueError(1)'); f()",
    ],
)
def test_a_reason_is_one_short_line(raised):
    found = verdict(raised)
    assert found.outcome == "failed"
    assert len(found.reason.splitlines()) == 1
    assert len(found.reason) < 500


def test_a_machine_without_a_filter_is_refused():
    with pytest.raises(InputError, match="riscv64"):
        seccomp.program("riscv64")


def test_the_filter_of_each_machine_has_all_calls_that_the_machine_has():
    x86, arm = seccomp.numbers("x86_64"), seccomp.numbers("aarch64")
    assert set(arm) < set(x86)
    assert len(set(x86.values())) == len(x86)
    assert len(set(arm.values())) == len(arm)
    for machine in seccomp.AUDIT:
        assert len(seccomp.program(machine)) % 8 == 0


def test_a_system_that_cannot_confine_refuses_unless_the_program_is_trusted(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InputError, match="trusted=True"):
        run(RIGHT, tests=TESTS)
    trusting = Limits(processor=1, seconds=1.5, trusted=True)
    assert run(RIGHT, trusting, tests=TESTS).passed
    assert not run(WRONG, trusting, tests=TESTS).passed
    assert run("import time; time.sleep(1e9)", trusting).outcome == "timed out"


def test_a_child_that_cannot_confine_itself_blames_the_system_and_not_the_program(monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)  # so its caller seems to have died at once
    with pytest.raises(InputError, match="the caller is gone"):
        run(RIGHT, SHORT, tests=TESTS)
    assert run(RIGHT, Limits(trusted=True), tests=TESTS).passed
