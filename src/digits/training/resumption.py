"""Go on in the folder of a run."""

from hydra.core.hydra_config import HydraConfig
from lightning import Trainer
from omegaconf import DictConfig

from digits.errors import InputError
from digits.files import write_atomically
from digits.runs import recorded, status
from digits.runs.folder import RunFolder
from digits.runs.start import Start


def take_over(cfg: DictConfig, begin: Start, trainer: Trainer) -> None:
    """Set the folder of the resumed run back to `begin`: what was logged after it will be logged
    again. Raises InputError, and changes nothing, if the run had another number of processes, or
    its logs can't be read.
    """
    before = len(begin.content["processes"]) if begin.content else trainer.world_size
    if before != trainer.world_size:
        raise InputError(
            f"trainer.devices: the run had {before} processes, this one has {trainer.world_size}; "
            "expected as many"
        )
    if not cfg.resume or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if go_on_from := getattr(logger, "go_on_from", None):
            go_on_from(begin.logged, begin.epochs if begin.content else 0)
    run = RunFolder(cfg.resume)
    status.begin(run.path)
    recorded.record(cfg, HydraConfig.get().overrides.task)
    if begin.path == run.previous:  # last.ckpt is damaged
        write_atomically(run.last, run.previous.read_bytes())
