"""Disks that fill up or refuse, and checkpoints that were damaged there."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.common import (
    Row,
    call,
    finish,
    only_folder,
    start,
    to_go_on,
)
from faults.kills import SETTINGS, uninterrupted

OVERRIDES = [word for word in SETTINGS["everything"] if not word.startswith("model._target_")]


class NotAllowedError(OSError):
    """Mounting needs root, and a container that is allowed to."""


def _mount(*arguments: str | Path) -> None:
    mount = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if mount.returncode:
        raise NotAllowedError(mount.stderr.strip())


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A file system of its own at `folder`. Raises NotAllowedError."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full(folder: Path) -> Row:
    """The disk is full from an epoch on, or from the start; then there is space again."""
    row, (whole, _) = Row("disk full, then not"), uninterrupted(folder / "whole", OVERRIDES)
    for epoch in (0, 1, 2, 4):
        with small_disk(folder / f"after-{epoch}", 64) as disk:
            outputs, ballast = disk / "outputs", disk / "ballast"
            if epoch == 0:
                _fill(ballast)
            run = start(*OVERRIDES, f"paths.outputs_dir={outputs}")
            assert run.stdout
            if epoch:
                next(line for line in run.stdout if line.startswith(f"Epoch {epoch}/"))
                _fill(ballast)
            code, _, err = finish(run)
            well = code == 2 and "No space left on device" in err and err.count("\n") == 1
            row.check(well, f"after epoch {epoch}: exit code {code}: {err}")
            ballast.unlink()
            _ends_well(row, to_go_on(outputs) or OVERRIDES, outputs, whole)
    return row


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def read_only(folder: Path) -> Row:
    """A run's folder, and the one above it, that can't be written."""
    row, (whole, _) = Row("read-only folder"), uninterrupted(folder / "whole", OVERRIDES)
    with small_disk(folder / "disk", 64) as disk:
        outputs = disk / "outputs"
        code, _, err = stopped(outputs, after=2)
        assert code == 143, err
        found = only_folder(outputs)
        _mount("-o", "remount,ro", disk)
        for arguments in ([f"resume={found}"], OVERRIDES):
            code, _, err = call(*arguments, f"paths.outputs_dir={outputs}")
            well = code == 2 and "Read-only file system" in err and err.count("\n") == 1
            row.check(well, f"{arguments}: exit code {code}: {err}")
        _mount("-o", "remount,rw", disk)
        _ends_well(row, [f"resume={found}"], outputs, whole)
    return row


def stopped(outputs: Path, after: int) -> tuple[int, str, str]:
    """A run that got SIGTERM after an epoch."""
    run = start(*OVERRIDES, f"paths.outputs_dir={outputs}")
    assert run.stdout
    next(line for line in run.stdout if line.startswith(f"Epoch {after}/"))
    run.terminate()
    return finish(run)


def damaged_checkpoints(folder: Path, flips: int = 5) -> Row:
    """What becomes of last.ckpt between a stop and going on."""
    dice, row = random.Random(0), Row("last.ckpt damaged")
    whole, _ = uninterrupted(folder / "whole", OVERRIDES)
    code, _, err = stopped(folder / "half", after=2)
    half = only_folder(folder / "half")
    assert code == 143, err
    assert half
    uninterrupted(
        folder / "other", ["seed=1", *OVERRIDES, "trainer.max_epochs=3", "model.scheduler.T_max=5"]
    )
    other = only_folder(folder / "other")
    assert other

    def flipped(data: bytes) -> bytes:
        i = dice.randrange(len(data))
        return data[:i] + bytes([data[i] ^ (1 << dice.randrange(8))]) + data[i + 1 :]

    damages: dict[str, Callable[[bytes], bytes]] = {
        "truncated": lambda data: data[: len(data) // 2],
        "empty": lambda data: b"",
        "another run's": lambda data: (other / "checkpoints" / "last.ckpt").read_bytes(),
        "another file": lambda data: (folder / "whole").parent.name.encode() * 1000,
        **{f"bit flipped {i}": flipped for i in range(flips)},
    }
    for name, damage in damages.items():
        outputs = folder / name.replace(" ", "-").replace("'", "")
        shutil.copytree(half, outputs / "train" / "2026")
        last = outputs / "train" / "2026" / "checkpoints" / "last.ckpt"
        last.write_bytes(damage(last.read_bytes()))
        code, out, err = call(f"resume={last.parents[1]}", f"paths.outputs_dir={outputs}")
        harmless = "flipped" in name and "damaged" not in out  # in the padding, which nothing reads
        says = "going on from previous.ckpt" in out or harmless
        row.check(code == 0 and not err and says, f"{name}: exit code {code}: {out[-200:]} {err}")
        row.compare(outputs, whole)
    return row


def _ends_well(row: Row, arguments: list[str], outputs: Path, whole: Path) -> None:
    code, _, err = call(*arguments, f"paths.outputs_dir={outputs}")
    if code or err:
        row.problems.append(f"{arguments}: exit code {code}: {err}")
    row.compare(outputs, whole)
