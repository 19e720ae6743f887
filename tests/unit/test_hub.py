"""Names and data that are not here: told at once, whatever the network does."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import HfApi

from checkpoints import write_llada
from commands import as_process
from unmask import InputError, load
from unmask.evaluate import examples as tasks
from unmask.models import hub
from unmask.models.loading import find_folder


@pytest.mark.parametrize(
    "name",
    [
        "./student", "../student", "~/student", "/student", "runs/student/last", "student", "runs/",
        "-runs/student", "runs/a--b", "runs/a..b", "runs/student.git", "runs/st udent", "",
        "~nobody-here/student", "runs/" + "x" * 97,
    ],
)  # fmt: skip
def test_what_can_be_no_name_on_the_hub_is_not_looked_for(monkeypatch, name):
    monkeypatch.setattr(hub, "fetched", None)
    with pytest.raises(InputError, match="no folder and no hub id"):
        find_folder(name)


@pytest.mark.parametrize(
    "name", ["GSAI-ML/LLaDA-8B-Instruct", "Dream-org/Dream-v0-Base-7B", "a/b_c.d"]
)
def test_what_can_be_one_is(name):
    assert hub.is_name(name)


def asked_for(monkeypatch, tmp_path, answer):
    """Whether files that are here already do, with a hub that behaves like ``answer``."""
    monkeypatch.setattr(HfApi, "repo_info", answer)
    local = []

    def fetch(*, local_files_only):
        local.append(local_files_only)
        return str(tmp_path)

    assert hub.fetched("runs/student", "model", fetch) == tmp_path
    [only] = local
    return only


def test_what_is_here_is_taken_when_the_hub_is_not(monkeypatch, tmp_path):
    def broken(*_, **__):
        raise OSError("no route to host")

    assert not asked_for(monkeypatch, tmp_path, lambda *_, **__: None)
    assert asked_for(monkeypatch, tmp_path, broken)


def test_a_hub_that_hangs_is_not_waited_for(monkeypatch, tmp_path):
    never = threading.Event()
    monkeypatch.setattr(hub, "PATIENCE", 0.05)
    assert asked_for(monkeypatch, tmp_path, lambda *_, **__: never.wait())

    def nothing(*, local_files_only):
        assert local_files_only
        raise OSError("not here")

    with pytest.raises(OSError, match=r"does not answer within 0\.05 s; HF_HUB_ETAG_TIMEOUT=30"):
        hub.fetched("runs/student", "model", nothing)
    never.set()


def test_offline_is_said(tmp_path):
    with pytest.raises(InputError, match=r"'runs/student' is no folder here .*HF_HUB_OFFLINE"):
        find_folder("runs/student")
    with pytest.raises(InputError, match=r"openai/gsm8k of task gsm8k .*; give --data, a folder"):
        tasks.examples(tasks.find("gsm8k"))


class Busy(BaseHTTPRequestHandler):
    """A hub that is out of order."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(503)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "about"),
    [
        (("generate", "--model", "runs/student", "x"), "/api/models/runs/student"),
        (("eval", "--task", "gsm8k", "--model", "tiny", "--out", "x"),
         "/api/datasets/openai/gsm8k"),
    ],
)  # fmt: skip
def test_a_hub_that_is_out_of_order_is_asked_once(tmp_path, command, about):
    """Its own client asks seven times, with 23 seconds in between."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = {
            **os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path),
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        }  # fmt: skip
        done = as_process(*command, env=where, cwd=tmp_path)
        server.shutdown()
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "503" in line
    assert [path for path in server.asked if "student" in path or "gsm8k" in path] == [about]


@pytest.mark.parametrize("given", [".", "./", "../student", "../student/.", "sub/.."])
def test_a_folder_is_called_by_its_name_wherever_one_stands(tmp_path, monkeypatch, given):
    student = write_llada(tmp_path / "student")
    (student / "sub").mkdir()
    monkeypatch.chdir(student)
    assert load(given).card.name == "student"


def test_a_folder_is_never_called_like_a_built_in_model(tmp_path, monkeypatch):
    student = write_llada(tmp_path / "runs" / "tiny")
    monkeypatch.chdir(student)
    assert load(".").card.name == "runs/tiny"
    assert load("../tiny").card.name == "../tiny"
