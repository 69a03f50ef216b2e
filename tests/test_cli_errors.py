"""Wrong input: one line on stderr, exit code 2, nothing written over."""

import resource
from pathlib import Path

import pytest
import torch

from conftest import ROOT, Outcome, command, finish
from hostile import Runs

LINES = {
    "trainer.max_epoch=3": "trainer.max_epoch: no such setting; did you mean trainer.max_epochs?",
    "data.batchsize=3": "data.batchsize: no such setting; did you mean data.batch_size?",
    "zzz=1": "zzz: no such setting; --cfg job shows all",
    "model.optimizer.betas=1": "model.optimizer.betas: no such setting",
    "trainer.max_epochs": "trainer.max_epochs: expected SETTING=VALUE (",
    "trainer.max_epochs=abc": "trainer.max_epochs=abc: expected a whole number from 1, or -1 for",
    "trainer.max_epochs=-3": "trainer.max_epochs=-3: expected a whole number from 1, or -1 for",
    "trainer.max_epochs=0": "trainer.max_epochs=0: expected a whole number from 1, or -1 for no",
    "data.batch_size=0": "data.batch_size=0: expected a whole number from 1 to 60000",
    "data.batch_size=-1": "data.batch_size=-1: expected a whole number from 1 to 60000",
    "data.batch_size=1e9": "data.batch_size=1000000000.0: expected a whole number from 1 to 60000",
    "data.val_size=60000": "data.val_size=60000: expected a whole number from 0 to 59999",
    "data.val_size=-1": "data.val_size=-1: expected a whole number from 0 to 59999",
    "trainer.accelerator=tpu": "trainer.accelerator=tpu: expected one of auto, cpu, gpu, cuda, mps",
    "model.optimizer.lr=-1": "model.optimizer.lr=-1: expected a number above 0",
    "model.optimizer.lr=nan": "model.optimizer.lr=nan: expected a number above 0",
    "data=foo": "data=foo: no such config; there are: mnist",
    "experiment=foo": "experiment=foo: no such config; there are: reference",
    "optimized_metric=val/f1": "optimized_metric=val/f1: expected one of train/acc, train/loss",
    "optimized_metric=val/acc": "optimized_metric=val/acc: expected data.val_size above 0 too",
    "callbacks=early_stopping": "callbacks.early_stopping: expected data.val_size above 0 too",
    "train=false": "train=false: nothing to test; expected ckpt_path=latest or ckpt_path=FILE",
    "ckpt_path=latest": "ckpt_path=latest: no run under ",
    "ckpt_path=nope.ckpt": "ckpt_path=nope.ckpt: no such file; expected a .ckpt file, or latest",
    "ckpt_path=src": "ckpt_path=src: a folder; expected a .ckpt file, or latest",
    "ckpt_path=LICENSE": "ckpt_path=LICENSE: not a checkpoint of train.py's, or damaged",
    "ckpt_path=": "ckpt_path=: expected a .ckpt file, latest, or null",
    "resume=": "resume=: expected a run's folder, latest, or null",
    "resume=latest": "resume=latest: no run under ",
    "resume=src": "resume=src: no run's folder: ",
    "resume=nope": "resume=nope: no run's folder: ",
    "callbacks.last.train_time_interval=0": "callbacks.last.train_time_interval=0: expected a numb",
    "experiment=null": "Config group override must be a string or a list. Got NoneType",
    "ckpt_path=123": "ckpt_path=123: expected a .ckpt file, latest, or null",
    "trainer.devices=abc": "trainer: ",
    "trainer.limit_train_batches=0": "trainer.limit_train_batches=0: expected a number above 0",
    "trainer.limit_train_batches=abc": "trainer.limit_train_batches=abc: expected a number above",
    "trainer.limit_train_batches=7.5": "trainer: You have passed invalid value 7.5 for",
    "trainer.max_steps=0": "trainer.max_steps=0: expected a whole number from 1, or -1",
    "trainer.log_every_n_steps=0": "trainer.log_every_n_steps=0: expected a whole number from 1",
    "trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0: expected a whole",
    "trainer.precision=64-true": "trainer.precision=64-true: expected one of 32-true, 16-mixed",
    "model/optimizer=sgd": "model/optimizer=sgd: no such config; there are: adamw, rmsprop",
    "model.optimizer._target_=torch.optim.SGD": "model.optimizer: SGD.__init__() got an unexp",
    "+model.optimizer.nesterov=true": "model.optimizer: RMSprop.__init__() got an unexpected",
    "model.scheduler=abc": "model.scheduler: 'str' object is not callable",
    "callbacks.bar=abc": "callbacks.bar: expected settings with a _target_, or null for none",
    "data.mirrors=http://x": "data.mirrors=http://x: expected a list of URLs, or null",
    "data.seed=abc": "data.seed=abc: expected a whole number from 0 to 4294967295",
    "paths.data_dir=": "paths.data_dir=: expected a path",
    "task_name=../x": "task_name=../x: expected letters, digits, - and _",
    "experiment=[reference,foo]": "In 'train': Could not load 'experiment/foo'.",
    "+trainer.foo=1": "trainer: Trainer.__init__() got an unexpected keyword argument 'foo'",
    "paths.data_dir=/proc/x": "paths.data_dir: cannot write /proc/x/MNIST/raw/train-images-idx3-",
    "hydra.run.dir=/proc/x": "cannot write /proc/x: ",
    "hydra.run.dir=LICENSE": "cannot write LICENSE: File exists; paths.outputs_dir=FOLDER writes",
}


def says(outcome: Outcome, line: str) -> None:
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {line}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("override", LINES)
def test_one_line(override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    says(command("train", override, outputs=tmp_path), LINES[override])
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("override", ["trainer.accelerator=gpu", "trainer=gpu", "trainer=ddp"])
def test_no_gpu(override: str, tmp_path: Path) -> None:
    line = "trainer.accelerator=gpu: torch finds none here; expected one of auto, cpu"
    says(command("train", override, outputs=tmp_path), line)


def test_eval_needs_a_checkpoint(tmp_path: Path) -> None:
    line = "ckpt_path: not given; expected ckpt_path=latest or ckpt_path=FILE"
    says(command("eval", outputs=tmp_path), line)


@pytest.mark.parametrize("script", ["train", "eval"])
def test_a_truncated_checkpoint(script: str, finished: Outcome, tmp_path: Path) -> None:
    whole = (finished.folder / "checkpoints" / "last.ckpt").read_bytes()
    path = tmp_path / "cut.ckpt"
    path.write_bytes(whole[:-1000])
    outcome = command(script, f"ckpt_path={path}", outputs=tmp_path)
    says(outcome, f"ckpt_path={path}: not a checkpoint of train.py's, or damaged")


def test_a_checkpoint_of_another_architecture(finished: Outcome, tmp_path: Path) -> None:
    path = finished.folder / "checkpoints" / "last.ckpt"
    outcome = command("train", "model.hidden_size=64", f"ckpt_path={path}", outputs=tmp_path)
    says(outcome, f"ckpt_path={path}: another architecture: net.1.bias is 512, expected 64")


def test_data_that_cannot_be_downloaded(tmp_path: Path) -> None:
    data_dir, dead = tmp_path / "data", "data.mirrors=[http://127.0.0.1:9/]"
    outcome = command("train", f"paths.data_dir={data_dir}", dead, outputs=tmp_path)
    says(outcome, "cannot download train-images-idx3-ubyte.gz (http://127.0.0.1:9/train-images")
    assert outcome.err.rstrip().endswith(f"into {data_dir / 'MNIST' / 'raw'}")


def test_a_batch_that_processes_cannot_share(tmp_path: Path) -> None:
    overrides = ["trainer=ddp_sim", "data.batch_size=127", "trainer.max_epochs=1"]
    code, _, err = finish("src/train.py", *overrides, f"paths.outputs_dir={tmp_path}")
    assert code == 2
    line = "error: data.batch_size=127: 2 processes share each batch: expected a multiple of 2"
    assert err == f"{line}\n"


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """A limit on the size of files stands in for it: writing last.ckpt (3.2 MB) fails."""

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=5", f"hydra.run.dir={tmp_path}"]
    code, _, err = finish("src/train.py", *short, preexec_fn=small_disk)
    assert code == 2
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert err.startswith(f"error: cannot write {last}: File too large; paths.outputs_dir=")
    assert err.count("\n") == 1
    assert list(last.parent.iterdir()) == []


def test_a_folder_with_a_run_in_it_is_left_alone(finished: Outcome, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    argument = f"hydra.run.dir={finished.folder}"
    says(command("train", argument, outputs=tmp_path), f"{argument}: a run is there already; exp")
    assert before == {p: p.read_bytes() for p in finished.folder.rglob("*") if p.is_file()}


def test_a_checkpoint_that_would_run_code(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "x.ckpt"
    torch.save({"state_dict": Runs(victim)}, path)
    for script, more in (("train", []), ("train", ["train=false"]), ("eval", [])):
        outcome = command(script, f"ckpt_path={path}", *more, outputs=tmp_path / "out")
        says(outcome, f"ckpt_path={path}: not a checkpoint of train.py's, or damaged")
    assert not victim.exists()


def test_nothing_to_do(tmp_path: Path) -> None:
    line = "train=false test=false: nothing to do; expected one of them true"
    says(command("train", "train=false", "test=false", outputs=tmp_path), line)


def test_a_validation_set_too_small_to_share(tmp_path: Path) -> None:
    overrides = ["trainer=ddp_sim", "data.val_size=1", "trainer.max_epochs=1"]
    code, _, err = finish("src/train.py", *overrides, f"paths.outputs_dir={tmp_path}")
    line = "error: data.val_size=1: 2 processes share it: expected at least 2\n"
    assert (code, err) == (2, line)


def test_our_own_fault_exits_with_1_and_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.runs.make_trainer", lambda *_: 1 / 0)
    outcome = command("train", outputs=tmp_path)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1] == "error: division by zero"


def test_full_error_brings_the_traceback_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    outcome = command("train", "seed=-1", outputs=tmp_path)
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert "seed=-1: expected" in outcome.err.splitlines()[-1]


def test_a_read_only_outputs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))  # root may write anywhere

    monkeypatch.setattr(Path, "mkdir", refuse)
    outcome = command("train", outputs=tmp_path / "ro")
    says(outcome, f"cannot write {tmp_path}/ro/train/20")
