"""Made-up folders of runs, as training leaves them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from digits.inspection import evidence
from digits.inspection.evidence import Evidence

METRICS = {"epochs": 2, "fit_seconds": 3.25, "seed": 0, "train/acc": 0.7, "test/acc": 0.625,
           "torch": "2.14.1", "ended": "trainer.max_epochs"}  # fmt: skip


def made(
    folder: Path,
    words: Sequence[str] = ("seed=0",),
    metrics: Mapping[str, Any] = METRICS,
    rows: Sequence[tuple[int, float]] = ((0, 0.5), (1, 0.7)),
    found: Evidence | None = None,
    status: str = "finished",
    config: Mapping[str, Any] | None = None,
) -> Path:
    """`rows` are (epoch, train/acc)."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml([*words]))
    (folder / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(config or {"seed": 0}))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    table = "\n".join(f"{epoch},{value}" for epoch, value in rows)
    (folder / "metrics.csv").write_text(f"epoch,train/acc\n{table}\n")
    (folder / "status.json").write_text(json.dumps({"status": status}))
    if found is not None:
        evidence.write(folder / "evidence.npz", found)
    return folder
