"""Runs that are hurt and go on, beside one that was not."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from digits.signals import end_with_parent

ROOT = Path(__file__).parents[2]
TRAIN = ("src/train.py",)
PARTS = (
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "loops",
    "best_scores",
    "processes",
    "metrics",
)


@dataclass
class Row:
    """One line of the table."""

    fault: str
    injected: int = 0
    survived: int = 0
    lost_s: list[float] = field(default_factory=list)  # seconds of training done again
    equal: int = 0  # runs that ended as the uninterrupted one, of `runs`
    runs: int = 0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        lost = f"{max(self.lost_s):.1f} s" if self.lost_s else ""
        same = f"{self.equal} of {self.runs} runs" if self.runs else ""
        return f"| {self.fault} | {self.injected} | {self.survived} | {lost} | {same} |"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lost_s": [round(seconds, 2) for seconds in self.lost_s]}

    def check(self, is_well: bool, problem: str) -> None:
        self.injected += 1
        self.survived += is_well
        if not is_well:
            self.problems.append(problem[-500:])

    def compare(self, outputs: Path, whole: Path, error: str = "") -> None:
        """Whether the run under `outputs`, which may have ended in `error`, is as `whole` is."""
        folder = only_folder(outputs)
        found = [error] if error else differences(folder, whole) if folder else ["no folder"]
        self.runs += 1
        self.equal += not found
        self.problems += [f"{outputs}: {difference}" for difference in found]


def start(
    *arguments: str, command: tuple[str, ...] = TRAIN, **options: Any
) -> "subprocess.Popen[str]":
    """A run in a process group of its own; its output goes to pipes."""
    python_path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": python_path} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        cwd=ROOT,
        env=env,
        text=True,
        start_new_session=True,
        preexec_fn=partial(end_with_parent, os.getpid()) if sys.platform == "linux" else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def finish(run: "subprocess.Popen[str]", timeout: float = 300) -> tuple[int, str, str]:
    """Exit code, output and errors; what is left of its process group is killed."""
    try:
        out, err = run.communicate(timeout=timeout)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    return run.returncode, out, err


def call(*arguments: str, command: tuple[str, ...] = TRAIN, **options: Any) -> tuple[int, str, str]:
    return finish(start(*arguments, command=command, **options))


def only_folder(outputs: Path) -> Path | None:
    """Of the run under `outputs`."""
    folders = sorted(outputs.glob("train/20*"))
    return folders[-1] if folders else None  # one before it was killed before it had begun


def to_go_on(outputs: Path) -> list[str]:
    """The overrides that go on with the run under `outputs`; none where it left nothing."""
    folder = only_folder(outputs)
    settings = folder / ".hydra" / "overrides.yaml" if folder else None
    return [f"resume={folder}"] if settings and settings.is_file() and settings.read_text() else []


def lost_seconds(folder: Path, began: float, killed: float) -> float:
    """Of training: from the last save, or the fit's begin, to the kill (times of day)."""
    fit_began, fit_ended, saved = (
        path.stat().st_mtime if path.is_file() else 0.0
        for path in (
            folder / "figures" / "samples.png",
            folder / "metrics.json",
            folder / "checkpoints" / "last.ckpt",
        )
    )
    if fit_began < began or fit_ended > began:
        return 0.0
    return max(0.0, killed - max(fit_began, saved))


def differences(folder: Path, other: Path) -> list[str]:
    """What differs between two runs' weights, states, logs and curves, but times and paths."""
    found = differing_parts(*(path / "checkpoints" / "last.ckpt" for path in (folder, other)))
    if (folder / "metrics.csv").read_bytes() != (other / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    if curves(folder) != curves(other):
        found.append("TensorBoard's curves")
    return found


def differing_parts(path: Path, other: Path) -> list[str]:
    """Of two checkpoints."""
    content, expected = (torch.load(each, weights_only=True) for each in (path, other))
    return [part for part in PARTS if not _same(content[part], expected[part])]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's files have: (step, value) for each tag, doubled steps and all."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    return {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in tags}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def has_traceback(text: str) -> bool:
    return "Traceback" in text or "Error:" in text
