"""Test a checkpoint on MNIST's 10,000 test images: `python src/eval.py ckpt_path=latest`."""

from omegaconf import DictConfig

from digits.cli import entry
from digits.imports import importing


@entry("eval")
def main(cfg: DictConfig) -> None:
    with importing():
        from hydra.utils import instantiate

        from digits import checkpoint, runs, signatures

    signatures.check(cfg)
    model = checkpoint.model_from(cfg.ckpt_path)
    data = instantiate(cfg.data)
    with runs.trainer(cfg) as trainer:
        trainer.test(model, data, ckpt_path=cfg.ckpt_path, weights_only=True, verbose=False)
        runs.show_results(trainer, cfg.paths)


if __name__ == "__main__":
    main()
