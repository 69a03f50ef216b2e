import json
import os
from pathlib import Path
from typing import Any

import pytest

from digits.exporting import provenance
from digits.runs.folder import RunFolder


def metrics(**changes: Any) -> str:
    known = {"ckpt_path": "/elsewhere/a/checkpoints/x.ckpt", "test/acc": 0.5, "test/images": 10.0}
    return json.dumps(known | changes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (metrics(), {"test_accuracy": "0.5", "test_images": "10"}),
        (metrics(ckpt_path="/elsewhere/a/checkpoints/other.ckpt"), {}),
        (metrics(ckpt_path="/elsewhere/b/checkpoints/x.ckpt"), {}),
        (metrics(ckpt_path=None), {}),
        (metrics(**{"test/acc": None}), {}),
        (metrics(**{"test/acc": float("nan")}), {}),
        (metrics(**{"test/acc": "high"}), {}),
        (metrics(**{"test/images": "many"}), {}),
        ("{}", {}),
        ("[]", {}),
        ("", {}),
        (metrics()[:-5], {}),
        ("\x00\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), {}),
        ("[" * 100_000, {}),
        (metrics(more="x" * (1 << 20)), {}),
    ],
)
def test_the_accuracy_is_this_checkpoint_s_or_none(
    text: str, expected: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "a" / "checkpoints" / "x.ckpt"
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "a" / "metrics.json").write_text(text, encoding="latin-1")
    assert provenance.tested(RunFolder(tmp_path / "a"), path) == expected
    os.utime(path)  # trained on since
    os.utime(tmp_path / "a" / "metrics.json", (0, 0))
    assert provenance.tested(RunFolder(tmp_path / "a"), path) == {}


def test_a_sweep_s_run_is_named_with_its_sweep(tmp_path: Path) -> None:
    path = tmp_path / "2026-01-02" / "3" / "checkpoints" / "x.ckpt"
    path.parent.mkdir(parents=True)
    path.touch()
    content = {"hyper_parameters": {"hidden_size": 8}, "global_step": 1}
    assert provenance.of_checkpoint(path, content)["run"] == "2026-01-02/3"
