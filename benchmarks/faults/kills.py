"""Runs killed (SIGKILL) or stopped (SIGTERM, SIGINT, SIGUSR1) again and again until they end."""

import json
import os
import random
import shutil
import signal
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from faults.common import (
    TRAIN,
    Row,
    call,
    finish,
    has_traceback,
    lost_seconds,
    only_folder,
    start,
    to_go_on,
)

NOISY = "model._target_=noisy.NoisyClassifier"
SETTINGS = {
    "plain": [],
    "everything": [
        "data.val_size=5000", "callbacks=early_stopping", "callbacks.early_stopping.patience=2",
        "model/scheduler=cosine", NOISY,
    ],
    "within epochs": [
        "data.batch_size=16", "trainer.max_epochs=2", "data.val_size=5000",
        "trainer.val_check_interval=0.3", "callbacks.last.train_time_interval=1", NOISY,
    ],
    "2 processes": [
        "trainer=ddp_sim", "data.val_size=5000", "callbacks.last.train_time_interval=1", NOISY,
    ],
}  # fmt: skip
EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 138}


def uninterrupted(folder: Path, overrides: Sequence[str]) -> tuple[Path, float]:
    """A run's folder, and how long it took."""
    begin = time.monotonic()
    code, _, err = call(*overrides, f"paths.outputs_dir={folder}")
    assert code == 0, err
    found = only_folder(folder)
    assert found
    return found, time.monotonic() - begin


def kills(name: str, count: int, folder: Path) -> Row:
    """SIGKILL at `count` random moments, to all of a run's processes or to one of them."""
    return _hurt(f"SIGKILL, {name}", name, count, folder, [signal.SIGKILL])


def stops(name: str, count: int, folder: Path) -> Row:
    """The same with signals that ask."""
    return _hurt(f"SIGTERM, SIGINT or SIGUSR1, {name}", name, count, folder, list(EXIT_CODES))


def _hurt(title: str, name: str, count: int, folder: Path, signals: list[signal.Signals]) -> Row:
    dice, row, overrides = random.Random(0), Row(title), SETTINGS[name]
    whole, seconds = uninterrupted(folder / "whole", overrides)
    while row.injected < count:
        outputs, ended = folder / str(row.runs), False
        while row.injected < count and not ended:
            number, began = dice.choice(signals), time.time()
            run = start(*_arguments(outputs, overrides))
            time.sleep(dice.uniform(0.35, 0.8) * seconds)
            ended = run.poll() is not None
            if not ended:
                killed = time.time()
                _send(run.pid, number, dice)
                row.lost_s += [0.0]
            code, _, err = finish(run)
            if not ended:
                # 0: it was done when the signal came; -number: so did the interpreter's own end
                expected = {0, -number, EXIT_CODES.get(number)}
                if name == "2 processes":  # the one that was not hit says that it is alone, or is
                    expected |= {1, -signal.SIGKILL}  # killed by Lightning when a child ends
                well = code in expected and not has_traceback(err)
                row.check(well, f"exit code {code} after {number}: {err}")
                if (found := only_folder(outputs)) and number == signal.SIGKILL:
                    row.lost_s[-1] = lost_seconds(found, began, killed)
            elif code != 0:
                row.problems.append(f"exit code {code}: {err}")
        _end(row, outputs, overrides, whole)
    return row


def _arguments(outputs: Path, overrides: list[str]) -> list[str]:
    """To begin, or to go on; a folder is not trusted with the name of code, which is said again."""
    again = to_go_on(outputs)
    said_again = [word for word in overrides if word == NOISY]
    return [*(again + said_again if again else overrides), f"paths.outputs_dir={outputs}"]


def _send(pid: int, number: signal.Signals, dice: random.Random) -> None:
    """To the first process, to all of its group or, where there is one, to its child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    kind = dice.choice(["first", "all", *(["child"] if children else [])])
    if kind == "all":
        os.killpg(pid, number)
    else:
        os.kill(int(children[0]) if kind == "child" else pid, number)


def _end(row: Row, outputs: Path, overrides: list[str], whole: Path) -> None:
    """Let the run under `outputs` end by itself, and look at what it has become."""
    code, _, err = call(*_arguments(outputs, overrides))
    row.compare(outputs, whole, f"exit code {code}: {err}" if code else "")
    shutil.rmtree(outputs)


def moments(folder: Path, times: Sequence[tuple[str, int]], shorter: Sequence[str] = ()) -> Row:
    """SIGKILL at moments of killed_at.py, each when it comes for the n-th time."""
    overrides = [*SETTINGS["everything"], *shorter]
    whole, _ = uninterrupted(folder / "whole", overrides)
    row = Row("SIGKILL at moments picked")
    for name, count in times:
        outputs = folder / f"{name} {count}".replace(" ", "-")
        command = ("benchmarks/faults/killed_at.py", name, str(count), *TRAIN)
        code, _, err = call(*overrides, f"paths.outputs_dir={outputs}", command=command)
        if code == 0:  # it does not come to it so often
            continue
        well = code == -signal.SIGKILL and not has_traceback(err)
        row.check(well, f"{name}: exit code {code}: {err}")
        _end(row, outputs, overrides, whole)
    return row


def cost(folder: Path, rounds: int) -> Row:
    """Fits with and without last.ckpt in turns, and the ratio of their medians."""
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    for i in range(rounds):
        for name, overrides in (("on", []), ("off", ["callbacks.last=null"])):
            found, _ = uninterrupted(folder / f"{name}-{i}", ["test=false", *overrides])
            metrics = json.loads((found / "metrics.json").read_text())
            seconds[name].append(metrics["fit_seconds"])
    ratio = statistics.median(seconds["on"]) / statistics.median(seconds["off"])
    text = ", ".join(f"{name} {min(s):.2f}-{max(s):.2f} s" for name, s in seconds.items())
    return Row(f"a fit with last.ckpt takes {ratio:.3f} x one without ({text})")
