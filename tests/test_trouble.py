"""The lines that docs/trouble.md quotes are those that the program prints."""

import re
from pathlib import Path

import pytest

from support.commands import ROOT, UNSEEN, command

PAGE = (ROOT / "docs" / "trouble.md").read_text()
QUOTED = re.findall(r"```text\n(.*)\n```", PAGE)
STRINGS = r'"\n\s*(?:#.*\n\s*)?f?"'  # where a text goes on in the next line of the source
SOURCE = "".join(re.sub(STRINGS, "", p.read_text()) for p in (ROOT / "src").rglob("*.py"))
SHORT = ("trainer.limit_train_batches=4", "trainer.limit_test_batches=1", *UNSEEN)
VARIES = r"[A-Z]{1,}(?![a-z])|its run |for the model CNN|ckpt_path=latest"
VARIES += r"|model\.optimizer\.lr was 0\.001, is 0\.01"
VARIES += r"|127.0.0.1|8000|No space.*;"


def test_each_quoted_line_is_in_the_source() -> None:
    assert len(QUOTED) == 11
    for line in QUOTED:
        pieces = [piece.strip(" :;,()=") for piece in re.split(VARIES, line)]
        told = [piece for piece in pieces if len(piece) > 6]
        assert told, line
        for piece in told:
            assert piece in SOURCE or piece == "address already in use", (line, piece)


@pytest.mark.slow
@pytest.mark.parametrize("line", re.findall(r"^python src/train.py (.*)$", PAGE, re.MULTILINE))
def test_a_command_runs(line: str, tmp_path: Path) -> None:
    outcome = command("train", *line.split(), "trainer.max_epochs=1", *SHORT, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
