"""Train the digit classifier, test it, and leave everything in one folder; --help lists what can be
set.
"""

from omegaconf import DictConfig

from digits.cli import entry


@entry("train")
def main(cfg: DictConfig) -> float | None:
    """Returns `optimized_metric` for a sweeper."""
    import lightning as L  # 4 s: --help and a mistyped setting do not wait for it
    from hydra.utils import instantiate

    from digits import checkpoint, runs

    L.seed_everything(cfg.seed, verbose=False)
    ckpt_path = checkpoint.find(cfg.ckpt_path, cfg.paths.outputs_dir) if cfg.ckpt_path else None
    datamodule = instantiate(cfg.data)
    model = instantiate(cfg.model)
    if ckpt_path:
        checkpoint.check_fits(ckpt_path, model)

    with runs.trainer(cfg) as trainer:
        if cfg.train:
            trainer.fit(model, datamodule, ckpt_path=ckpt_path, weights_only=True)
            ckpt_path = checkpoint.written_by(trainer) or ckpt_path
        objective = runs.objective(trainer, cfg.optimized_metric)
        if cfg.test:
            trainer.test(model, datamodule, ckpt_path=ckpt_path, weights_only=True, verbose=False)
        runs.show_results(trainer, cfg.paths)
        return objective


if __name__ == "__main__":
    main()
