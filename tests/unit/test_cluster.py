"""What is known about a cluster before any worker starts."""

from types import SimpleNamespace

import pytest

from unmask.cli.main import main
from unmask.cluster.connection import connected, crew, needs, options
from unmask.cluster.spread import Here
from unmask.errors import InputError
from unmask.models.loading import load, outline


def cluster(*machines):
    """Ray's word about machines, each given by its resources."""
    total = {kind: sum(one.get(kind, 0) for one in machines) for kind in ("CPU", "GPU")}
    return SimpleNamespace(
        cluster_resources=lambda: total,
        nodes=lambda: [{"Alive": True, "Resources": one} for one in machines],
    )


CPUS = cluster({"CPU": 5.0}, {"CPU": 3.0})
GPUS = cluster({"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0})


def test_in_one_process_lots_follow_each_other():
    lots = []

    def work(replica, lot):
        lots.append(list(lot))
        return [(key, replica * item) for key, item in lot.items()]

    items = dict(enumerate("abcde"))
    assert dict(Here(2, 2)(work, items)) == {at: 2 * text for at, text in items.items()}
    assert lots == [[0, 1], [2, 3], [4]]
    list(Here(2)(work, items))
    assert lots[3:] == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("machines", "device", "taken", "room"),
    [
        (CPUS, "auto", {"num_cpus": 2}, 3),  # 5 // 2 + 3 // 2: no worker stretches over machines
        (CPUS, "cpu", {"num_cpus": 2}, 3),
        (GPUS, "auto", {"num_cpus": 1, "num_gpus": 1}, 8),
        (GPUS, "cuda", {"num_cpus": 1, "num_gpus": 1}, 8),
        (GPUS, "cpu", {"num_cpus": 2}, 34),
    ],
)
def test_a_worker_takes_a_gpu_or_as_many_cpus_as_threads(machines, device, taken, room):
    each = needs(machines, device, threads=2)
    assert options(each) == taken
    assert crew(machines, None, each, "workers") == room
    assert crew(machines, 2, each, "workers") == 2
    with pytest.raises(InputError, match=f"workers={room + 1} is more .* which is {room} of"):
        crew(machines, room + 1, each, "workers")


def test_a_cluster_without_a_gpu_has_no_room_for_one():
    with pytest.raises(InputError, match="room for, which is 0 of 1 CPU and 1 GPU each; lower"):
        crew(CPUS, None, needs(CPUS, "cuda", threads=2), "workers")


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:", ":6379", "head:x"])
def test_what_is_no_address(address):
    pytest.importorskip("ray", reason="needs unmask[ray]")
    with pytest.raises(InputError, match="is no address; give HOST:PORT"), connected(address):
        pass


def test_an_address_where_nobody_is():
    pytest.importorskip("ray", reason="needs unmask[ray]")
    with (  # port 1 of this machine: reserved, and refused at once
        pytest.raises(InputError, match=r"cannot be reached .* ray start --head"),
        connected("127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["eval", "--workers", "2"], "--workers is for a cluster; add --ray"),
        (["batch", "IN", "OUT", "--workers", "2"], "--workers is for a cluster; add --ray"),
        (["serve", "--replicas", "2"], "--replicas is for a cluster; add --ray"),
        (["harvest", "--out", "OUT", "--task", "stories", "--ray", "--workers", "0"], "workers=0"),
        (["eval", "--ray", "--device", "cuda:1"], "device='cuda:1' cannot be chosen with --ray"),
        (["eval", "--harness", "gsm8k", "--ray"], "--harness answers in this process; drop --ray"),
        (["harvest", "--out", "OUT", "--answers", "IN", "--ray"], "there already; drop --ray"),
    ],
)
def test_options_that_do_not_go_together(command, said, tmp_path, capsys):
    pytest.importorskip("fastapi")
    body = {"prompt": "Hi"}
    (tmp_path / "IN").write_text(
        f'{{"custom_id": "a", "url": "/v1/completions", "body": {body}}}\n'.replace("'", '"')
    )
    command = [str(tmp_path / word) if word in ("IN", "OUT") else word for word in command]
    assert main(command) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tiny", "tiny-fast"])
def test_an_outline_knows_all_but_the_weights(name):
    whole, found = load(name, "cpu"), outline(name)
    assert found.denoiser.device.type == "meta"
    assert found.card.parameters == 0
    assert found.card.end_ids == whole.card.end_ids
    assert found.card.name == whole.card.name
    assert found.defaults == whole.defaults
    assert found.codec.encode("Mia has", plain=True) == whole.codec.encode("Mia has", plain=True)
