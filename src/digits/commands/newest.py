"""The run, checkpoint or sweep that `latest` means."""

from pathlib import Path

from digits.errors import InputError
from digits.files import called
from digits.runs import folder
from digits.runs.folder import RunFolder


def run_or_winner(outputs_dir: Path, asked: str) -> RunFolder:
    """Return the newest run; if it is a job of a sweep, the sweep's winner, if there is one. Raises
    InputError, which quotes `asked`, if there is no run.
    """
    first = next(folder.trained(outputs_dir), None)
    if first is None:
        return folder.newest_run(outputs_dir, asked)
    if (path := folder.sweep_of(first, outputs_dir)) is None:
        return first
    from digits.sweeps import leaderboard  # it imports Hydra's parser: 0.2 s
    from digits.sweeps.sweep_folder import SweepFolder

    winner = leaderboard.read(SweepFolder(path)).winner
    return winner.counted[0].run if winner else first


def checkpoint(ckpt_path: str, outputs_dir: str) -> Path:
    """Return the checkpoint that `ckpt_path` names. `latest` is the one that the newest run, or a
    newer sweep's winner, was tested with. Raises InputError if there is no such file.
    """
    if ckpt_path == "latest":
        return run_or_winner(Path(outputs_dir), "ckpt_path=latest").judged
    return folder.existing(ckpt_path)


def weights(asked: str, outputs_dir: str) -> Path:
    """Return the checkpoint that `weights` names: a file, a run's judged one, or that of `latest`.
    Raises InputError if there is none.
    """
    if asked == "latest":
        return run_or_winner(Path(outputs_dir), "weights=latest").judged
    path = RunFolder(asked).judged if Path(asked).is_dir() else Path(asked)
    if not path.is_file():
        raise InputError(f"weights={asked}: no such file; expected a .ckpt file, a run or latest")
    return path


def sweep(asked: str, outputs_dir: Path, given: str) -> Path:
    """Return the folder `asked`, or for `latest` the newest sweep's. Raises InputError, which
    quotes `given`, if there is no sweep.
    """
    if asked != "latest":
        return Path(asked).absolute()
    found = outputs_dir.glob(f"*/*/{folder.SWEEP}")
    newest = max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        train = called("train")
        raise InputError(f"{given}: no sweep under {outputs_dir} yet; {train} -m starts one")
    return newest.parent
