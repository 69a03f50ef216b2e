"""Jobs as Ray's tasks: here, and in a cluster of two nodes of which one is killed."""

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.commands import command, process, python
from support.sweeps import QUICK, assert_same_weights, saved, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray"),
]


ASKED = """
import grpc
from digits.sweeps.clusters import RayTasks

pool = RayTasks(None, 1, None, 1, 0)
import ray

(node,) = ray.nodes()
ports = {
    "NodeInfoGcsService/GetAllNodeInfo": ray.get_runtime_context().gcs_address.split(":")[1],
    "NodeManagerService/GetNodeStats": node["NodeManagerPort"],
    "ObjectManagerService/Pull": node["ObjectManagerPort"],
}
for name, port in ports.items():
    call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(f"/ray.rpc.{name}")
    try:
        call(b"", timeout=20)
        print(name, "answered")
    except grpc.RpcError as error:
        print(name, error.code().name)
"""


def test_a_cluster_of_ones_own_answers_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens on all interfaces. Whoever comes without its token is sent away."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert python("-c", ASKED).stdout.splitlines() == [
        "NodeInfoGcsService/GetAllNodeInfo UNAUTHENTICATED",
        "NodeManagerService/GetNodeStats UNAUTHENTICATED",
        "ObjectManagerService/Pull UNAUTHENTICATED",
    ]
    assert list(tmp_path.iterdir()) == []  # nor can it be read anywhere


@pytest.fixture
def cluster() -> Iterator[tuple[str, int]]:
    """The address of a head without cores and a node with two, and the second node's process."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    node = made.add_node(num_cpus=2)
    made.wait_for_nodes()
    try:
        yield made, node
    finally:
        made.shutdown()


def test_a_job_whose_node_dies_goes_on_elsewhere(cluster: tuple, tmp_path: Path) -> None:
    made, node = cluster
    words = ["-m", *QUICK, "trainer.max_epochs=60", "trainer.limit_train_batches=60"]
    where = ["hydra/launcher=ray", f"hydra.launcher.address={made.address}", "seed=3,4,-1"]
    with process("src/train.py", *words, *where, f"paths.outputs_dir={tmp_path}/a") as run:
        wait_for(lambda: saved(tmp_path) == 2, run)
        made.remove_node(node, allow_graceful=False)
        made.add_node(num_cpus=2)
        _, err = run.communicate(timeout=240)
    line = "error: job 2 (seed=-1): seed=-1: expected a whole number from 0 to 4294967295"
    assert (run.returncode, err.startswith(line), err.count("\n")) == (2, True, 1)
    logs = [path.read_text() for path in tmp_path.glob("a/multirun/*/*/train.log")]
    assert sum("going on at epoch" in log for log in logs) == 2
    command("train", *words, "seed=3,4", "hydra/launcher=basic", outputs=tmp_path / "b")
    assert_same_weights(tmp_path / "a", tmp_path / "b", 2)


def test_ctrl_c_saves(tmp_path: Path) -> None:
    words = ["-m", *QUICK, "trainer.max_epochs=3000", "seed=1,2", "hydra/launcher=ray"]
    given = [*words, f"paths.outputs_dir={tmp_path}"]
    with process("src/train.py", *given, start_new_session=True) as run:
        wait_for(lambda: saved(tmp_path) == 2, run)
        os.kill(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=90)
    assert run.returncode == 130
    assert err.splitlines()[-1].startswith("stopped; go on with python src/train.py -m sweep=")
    texts = [path.read_text() for path in tmp_path.glob("multirun/*/*/status.json")]
    assert ['"status": "stopped"' in text for text in texts] == [True, True]
