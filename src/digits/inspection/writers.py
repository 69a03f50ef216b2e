"""Where a callback finds TensorBoard."""

from collections.abc import Iterator

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def writers(trainer: Trainer) -> Iterator[SummaryWriter]:
    """Of the first process; none where nothing is logged."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            yield logger.experiment
