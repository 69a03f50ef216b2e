"""A real SLURM on this machine: munged, slurmctld and slurmd on loopback, as root."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={daemon_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=60
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=10 MaxTime=INFINITE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE
"""


def missing() -> str | None:
    """Why it can't run here, if it can't."""
    gone = [
        name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if gone:
        return f"no {', '.join(gone)} here"
    return None if os.geteuid() == 0 else "slurmd starts jobs as root alone"


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """Its configuration file, which SLURM_CONF names meanwhile."""
    for name in ("state", "spool"):
        (folder / name).mkdir(mode=0o700)
    folder.chmod(0o755)
    for parent in folder.parents[:3]:
        parent.chmod(0o755)
    config = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    config.write_text(CONFIG.format(folder=folder, host=host, port=_free(), daemon_port=_free()))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    munge = [f"--{name}={folder}/munge.{end}" for name, end in _MUNGE_FILES]
    env = os.environ | {"SLURM_CONF": str(config), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    with ExitStack() as stack:
        monkey = stack.enter_context(pytest.MonkeyPatch.context())
        monkey.setenv("SLURM_CONF", str(config))
        stack.enter_context(_daemon(["munged", "--foreground", "--force", *munge], env))
        _until(lambda: (folder / "munge.socket").exists())
        stack.enter_context(_daemon(["slurmctld", "-D", "-f", str(config)], env))
        stack.enter_context(_daemon(["slurmd", "-D", "-f", str(config)], env))
        _until(lambda: "idle" in _said("sinfo", "--noheader", "--format=%T"))
        try:
            yield config
        finally:
            _said("scancel", "--user=root")
            _until(lambda: not _said("squeue", "--noheader").strip())


_MUNGE_FILES = (
    ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"),
    ("seed-file", "seed"),
)  # fmt: skip


@contextmanager
def _daemon(command: list[str], env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _until(is_so: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end, "SLURM does not come up"
        time.sleep(0.2)


def _free() -> int:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return int(there.getsockname()[1])
