"""Train the digit classifier, or a model of your own, and test it; a run leaves one folder."""

if __name__ == "__main__":  # from here on Ctrl+C prints one line, no traceback
    from digits import signals

    signals.end_at_once()

from omegaconf import DictConfig

from digits import imports
from digits.commands.app import command
from digits.imports import importing


@command("train")
def main(cfg: DictConfig) -> float | list[float] | None:
    """Return the value of `optimized_metric`, for a sweeper."""
    if cfg.train:
        from digits.data import unpacking

        unpacking.begin(cfg)
    with importing():  # this takes 2 s, which --help and a mistyped setting do not need
        imports.import_lightning()
        import lightning as L

        from digits import machine, signals
        from digits.commands import settings
        from digits.runs import start
        from digits.runs.folder import RunFolder
        from digits.training import parts, replay, results, resumption, saving
        from digits.training.trainer import make_trainer

    machine.flush_denormals()
    settings.check_types(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    model, datamodule = parts.make(cfg)
    begin = start.find(cfg, model)
    if begin.is_over:
        return results.of_measured(RunFolder(cfg.resume).measured(), cfg.optimized_metric)

    results.check_test_batches(cfg, datamodule)
    with make_trainer(cfg, begin) as trainer:
        tested = begin.path
        if cfg.train:
            resumption.take_over(cfg, begin, trainer)
            replay.from_there(datamodule, trainer, cfg.trainer)
            with signals.after_the_step():
                trainer.fit(model, datamodule, ckpt_path=begin.path, weights_only=True)
            tested = saving.judged_by(trainer)  # None means the weights in memory
        objective = results.objective(trainer, cfg.optimized_metric)
        if cfg.test:
            results.test(trainer, model, datamodule, tested)
        results.show(trainer, cfg.paths)
        return objective


if __name__ == "__main__":
    main()
