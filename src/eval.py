"""Test a checkpoint on MNIST's 10,000 test images: `python src/eval.py ckpt_path=latest`."""

from omegaconf import DictConfig

from digits.commands.hydra_app import entry
from digits.imports import importing


@entry("eval")
def main(cfg: DictConfig) -> None:
    with importing():
        from hydra.utils import instantiate

        from digits.commands import signatures
        from digits.runs import checkpoint
        from digits.training import results
        from digits.training.trainer import make_trainer

    signatures.check(cfg)
    model = checkpoint.model_from(cfg.ckpt_path)
    data = instantiate(cfg.data)
    with make_trainer(cfg) as trainer:
        trainer.test(model, data, ckpt_path=cfg.ckpt_path, weights_only=True, verbose=False)
        results.show(trainer, cfg.paths)


if __name__ == "__main__":
    main()
