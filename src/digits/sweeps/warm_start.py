"""Results of earlier sweeps, which a study is told of."""

import logging

import optuna
from optuna import Study

from digits.errors import InputError
from digits.sweeps import leaderboard
from digits.sweeps.folder import SweepFolder
from digits.sweeps.space import Space

log = logging.getLogger(__name__)

WARM = "warm_start"  # an attribute of such a trial: the job's folder


def add(study: Study, earlier: SweepFolder, space: Space, metrics: list[str]) -> None:
    """Each finished job that chose from `space` is a trial, once. Raises InputError if it is no
    sweep's folder, or knows nothing of use here.
    """
    known = {trial.user_attrs.get(WARM) for trial in study.get_trials(deepcopy=False)}
    board = leaderboard.read(earlier, metrics)
    count = 0
    for job in board.jobs:
        scores = [job.score(name) for name in board.objectives]
        chosen = space.parameters(job.words)
        source = str(job.run.path.absolute())
        if chosen is None or None in scores:
            continue
        count += 1
        if source in known:
            continue
        study.add_trial(
            optuna.trial.create_trial(
                params=chosen,
                distributions={name: space.chosen[name] for name in chosen},
                values=scores,  # type: ignore[arg-type]
                user_attrs={WARM: source},
            )
        )
    if not count:
        raise InputError(
            f"hydra.sweeper.warm_start={earlier.path}: none of its jobs chose from these params"
        )
    log.info("%d results of %s are known", count, earlier.path)
