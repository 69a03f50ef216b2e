"""A run of src/train.py, looked at within its last epoch."""

import json
import tempfile
from pathlib import Path
from typing import Any

import lightning as L
import torch
from parity import bare
from parity.record import EPOCHS, LOOKS, Record

import train
from digits.commands import app
from digits.data import mnist
from digits.runs.folder import RunFolder

WORDS = ("trainer=cpu", "logger=none", "callbacks.bar=null", "callbacks.samples=null",
         "callbacks.watch=null", "callbacks.report=null")  # fmt: skip


class Looks(L.Callback):
    """Tests at LOOKS, by a hook of the optimizer's, so that the step stays written out."""

    def __init__(self, path: str) -> None:
        self.path, self.seen = Path(path), dict[str, Any](looks=[])
        self.test_set = bare.read(mnist.TEST)
        self.done = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            scores = trainer.callback_metrics
            self.seen |= {
                f"first_{name}": scores[f"train/{name}"].item() for name in ("loss", "acc")
            }
        if trainer.current_epoch == EPOCHS - 1:
            optimizer = trainer.optimizers[0]
            optimizer.register_step_post_hook(lambda *_: self.look(pl_module))

    def look(self, model: L.LightningModule) -> None:
        self.done += 1
        if self.done in LOOKS:
            self.seen["looks"].append(bare.test(model.net, *self.test_set)[1])  # type: ignore[arg-type]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loop: Any = trainer.fit_loop.epoch_loop
        assert loop.step, f"the step was not written out, for {loop.seen_by}"

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.path.write_text(json.dumps(self.seen))


def run(seed: int) -> Record:
    with tempfile.TemporaryDirectory(prefix="parity-") as outputs:
        looks = Path(outputs) / "looks.json"
        words = (*WORDS, "+callbacks.looks._target_=parity.ours.Looks",
                 f"+callbacks.looks.path={looks}")  # fmt: skip
        folder = RunFolder(app.run_in_python(train.main, _words(seed, outputs, *words)))
        seen: Record = json.loads(looks.read_text()) | _measured(folder)
        return seen


def run_plain(seed: int) -> dict[str, Any]:
    """The same run without looks, and with all that a run leaves."""
    with tempfile.TemporaryDirectory(prefix="parity-") as outputs:
        return _measured(RunFolder(app.run_in_python(train.main, _words(seed, outputs))))


def _words(seed: int, outputs: str, *more: str) -> list[str]:
    return [f"seed={seed}", f"paths.outputs_dir={outputs}", *more]


def _measured(folder: RunFolder) -> dict[str, Any]:
    measured = json.loads((Path(folder.path) / "metrics.json").read_text())
    weights = torch.load(folder.last, weights_only=True)["state_dict"].values()
    return {
        "acc": measured["test/acc"],
        "loss": measured["test/loss"],
        "weights": bare.fingerprint(weights),
    }
