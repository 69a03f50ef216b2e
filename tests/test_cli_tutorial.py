"""docs/tutorial.md, from its first command to its last, on a tenth of the images."""

import re
import shlex
from pathlib import Path

import pytest

from support import commands
from support.commands import ROOT, command, tool

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
COMMANDS = re.findall(r"^python (src/.*)$", PAGE, re.MULTILINE)
FEW = ["trainer.limit_train_batches=0.1", "trainer.limit_test_batches=1", "callbacks.watch=null"]
SAID = [  # by each command, as the page shows it
    r"Epoch 2/2 loss 0\.\d{4} acc 0\.\d{4} val/loss .* s\n\ntest accuracy  0\.\d{4}\n",
    r"finished, 2 epochs, .*\n0\.\d{4} of [\d,]+ test images right(.|\n)*are confused most",
    r"Epoch 2/2 loss",
    r"Best: hidden_size \d+ with 0\.\d{4}\nThey differ in model\.hidden_size\.\n\nRuns\nrun .*\n"
    r"(.|\n)*On which images they disagree\nA +B +only A is right +only B is right +p\n",
    r"6 jobs, 6 finished\n\n   lr +val/acc best +\+- +seeds +against best, 95 % "
    r"(.|\n)*best  model\.optimizer\.lr=",
    r"digit  probability  runner-up  note\n.*photo\.jpg +\d +0\.(.|\n)*model outputs/multirun/",
    r"going on at epoch 3, batch 0(.|\n)*Epoch 3/3 loss",
]


def test_the_page_has_its_commands() -> None:
    assert len(COMMANDS) == len(SAID)
    for heading in ("Train", "Look", "Change one thing", "Compare", "Sweep", "Read a photo"):
        assert f"\n## {heading}\n" in PAGE


@pytest.mark.slow
def test_it_goes_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_mnist", {})
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    for line, pattern in zip(COMMANDS, SAID, strict=True):
        path, *words = shlex.split(line)
        if path == "src/train.py":
            few = [] if "resume=latest" in words else FEW
            outcome = command("train", *words, *few, outputs=tmp_path / "outputs")
            code, out, err = outcome.code, outcome.out, outcome.err
        else:
            globbed = [str(p) for w in words if "*" in w for p in sorted(tmp_path.glob(w))]
            code, out, err = tool(Path(path).stem, *(globbed or words))
        assert (code, err) == (0, ""), line
        assert re.search(pattern, out), (line, out)


def test_a_slip_reads_as_shown(tmp_path: Path) -> None:
    (said,) = re.findall(r"^error: .*$", PAGE, re.MULTILINE)
    outcome = command("train", "model.hiden_size=64", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (2, f"{said}\n")
