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


def checkpoint(asked: str, outputs_dir: str, setting: str = "ckpt_path") -> Path:
    """Return the checkpoint that `setting` names; `weights` may be a run, too. `latest` is the one
    that the newest run, or a newer sweep's winner, was tested with. Raises InputError if there is
    no such file.
    """
    if asked == "latest":
        return run_or_winner(Path(outputs_dir), f"{setting}=latest").judged
    if setting == "weights" and Path(asked).is_dir():
        asked = str(RunFolder(asked).judged)
    return folder.existing(asked, setting)


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
