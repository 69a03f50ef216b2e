"""Test a checkpoint on its run's test images: `python src/eval.py ckpt_path=latest`."""

if __name__ == "__main__":  # from here on Ctrl+C prints one line, no traceback
    from digits import signals

    signals.end_at_once()

from pathlib import Path

from omegaconf import DictConfig

from digits import imports
from digits.commands.app import command
from digits.imports import importing


@command("eval")
def main(cfg: DictConfig) -> None:
    with importing():
        imports.import_lightning()
        from digits.commands import settings
        from digits.runs import checkpoint
        from digits.runs.start import Start
        from digits.training import parts, results
        from digits.training.trainer import make_trainer

    settings.check_types(cfg)
    begin = Start(path=Path(cfg.ckpt_path), content=checkpoint.read(cfg.ckpt_path))
    model, data = parts.of_checkpoint(cfg, Path(cfg.ckpt_path), begin.content)
    results.say_share(cfg)
    with make_trainer(cfg, begin) as trainer:
        results.test(trainer, model, data, begin.path)
        results.show(trainer, cfg.paths)


if __name__ == "__main__":
    main()
