"""Folders of jobs as runs leave them, and callbacks that end a job badly."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from support.commands import UNSEEN

QUICK = (
    "trainer.max_epochs=2", "trainer.limit_train_batches=3", "trainer.limit_test_batches=1",
    "model.hidden_size=8", "data.val_size=1000", *UNSEEN, "logger=csv",
)  # fmt: skip


def job(
    sweep: Path, name: str, words: list[str], status: str = "finished", **measured: Any
) -> Path:
    """A job's folder; of `measured`, acc=0.9 is val/acc and val/acc_best."""
    folder = sweep / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
    told = {"status": status, "error": measured.pop("error", None), "begun": "2026-01-01T00:00:00"}
    told["ended"] = f"2026-01-01T00:{int(name) if name.isdecimal() else 0:02}:00"
    (folder / "status.json").write_text(json.dumps(told))
    if "acc" in measured:
        best = measured.pop("acc")
        measured |= {"val/acc_best": best, "val/acc": measured.pop("last", best)}
    if measured:
        (folder / "metrics.json").write_text(json.dumps({"fit_seconds": 2.0} | measured))
    return folder


def assert_same_weights(one: Path, other: Path, count: int, mine: str = "*") -> None:
    """Of the jobs of a sweep under each; of `one`, those whose names match `mine`."""
    ours, theirs = _weights(one, mine), _weights(other, "*")
    assert len(ours) == len(theirs) == count
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def _weights(outputs: Path, names: str) -> list[dict[str, Any]]:
    paths = sorted(outputs.glob(f"multirun/*/{names}/checkpoints/last.ckpt"))
    return [torch.load(path, weights_only=True)["state_dict"] for path in paths]


class Bad(Callback):
    """Ends a job after its first epoch, as the setting `how` says."""

    def __init__(self, how: str) -> None:
        self.how = how

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.how == "raise":
            raise RuntimeError("it broke")
        if self.how == "kill":
            print("its last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "not":
            for parameter in pl_module.parameters():
                parameter.data.fill_(float("nan"))


def wait_for(is_so: Callable[[], object], run: Any = None, seconds: float = 90) -> None:
    """While the process `run`, if any, runs."""
    end = time.monotonic() + seconds
    while not is_so():
        assert run is None or run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)


def saved(outputs: Path) -> int:
    """How many jobs have a checkpoint."""
    return len(list(outputs.rglob("last.ckpt")))


def folder_of_sweep(outputs: Path) -> Path:
    (folder,) = outputs.glob("multirun/*")
    return folder
