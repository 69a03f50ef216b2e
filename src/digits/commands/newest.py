"""Which run, checkpoint or sweep `latest` is."""

from pathlib import Path

from digits.errors import InputError
from digits.files import called
from digits.runs import folder
from digits.runs.folder import RunFolder


def run_or_winner(outputs_dir: Path, asked: str) -> RunFolder:
    """The newest run or, of a newer sweep, the job that won; of one that chose nothing, the newest.
    Raises InputError, for what was `asked`, without one.
    """
    first = next(folder.trained(outputs_dir), None)
    if first is None:
        return folder.newest_run(outputs_dir, asked)
    if (path := folder.sweep_of(first, outputs_dir)) is None:
        return first
    from digits.sweeps import leaderboard  # Hydra's parser comes with it: 0.2 s
    from digits.sweeps.sweep_folder import SweepFolder

    winner = leaderboard.read(SweepFolder(path)).winner
    return winner.counted[0].run if winner else first


def checkpoint(ckpt_path: str, outputs_dir: str) -> Path:
    """The one `ckpt_path` names; `latest` is the one the newest run, or a newer sweep's winner, was
    tested with. Raises InputError if there is no such file.
    """
    if ckpt_path == "latest":
        return run_or_winner(Path(outputs_dir), "ckpt_path=latest").judged
    return folder.existing(ckpt_path)


def sweep(asked: str, outputs_dir: Path, given: str) -> Path:
    """The folder `asked` for, or the newest sweep's. Raises InputError, for what was `given`, where
    there is none.
    """
    if asked != "latest":
        return Path(asked).absolute()
    found = outputs_dir.glob(f"*/*/{folder.SWEEP}")
    newest = max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        train = called("train")
        raise InputError(f"{given}: no sweep under {outputs_dir} yet; {train} -m starts one")
    return newest.parent
