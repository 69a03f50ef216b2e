"""Bugs that no test once noticed, put in again one by one: each must fail the tests beside it.

`python tests/mutants.py [WORD ...]` works on a copy of the repository, and takes ten minutes on two
cores; with words, only the bugs with one of them in their name.
"""

import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("benchmarks", "configs", "docs", "src", "studies", "tests", "pyproject.toml", "README.md")


class Bug(NamedTuple):
    name: str
    module: str  # of src/digits
    text: str  # stands there once
    instead: str
    tests: str  # of tests/


# fmt: off
BUGS = (
    Bug("one more connection", "serving/app", "limits.connections + 1", "limits.connections + 2",
        "serving/test_limits"),
    Bug("the CSP is opened", "serving/middleware", "default-src 'none'; script",
        "default-src *; script", "serving/test_app"),
    Bug("a header is gone", "serving/middleware", '    "x-frame-options": "DENY",\n', "",
        "serving/test_app"),
    Bug("20,000 connections", "serving/limits", "connections: int = 200",
        "connections: int = 20000", "serving/test_limits"),
    Bug("readers take any memory", "prediction/readers",
        "resource.RLIMIT_AS, (limits.memory, limits.memory)",
        "resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)", "prediction/test_readers"),
    Bug("EPS is opened", "images/decode", '{"EPS", ', "{", "images/test_drawing"),
    Bug("faint ink is no stroke", "images/strokes", "INKED = 0.3", "INKED = 0.5",
        "images/test_strokes"),
    Bug("digits stand in any order", "images/strokes",
        "in sorted(line, key=lambda each: each.left)", "in line", "images/test_strokes"),
    Bug("no temperature", "prediction/predictor",
        "confidence.tempered(self.network(images_NHW), measured.temperature)",
        "self.network(images_NHW)", "prediction/test_predictor"),
    Bug("all is sure", "prediction/predictor", ">= confidence.measured().least(glyph)",
        ">= confidence.measured().least(glyph) / 10", "prediction/test_predictor"),
    Bug("a shadow's strongest ink is not looked at", "images/drawing",
        "    Way(7, DARK, above=STRONG),\n", "", "prediction/test_reading"),
    Bug("a reading that is sure is not preferred", "prediction/reading",
        "found[number].note != NOT_SURE", "scores[number]", "prediction/test_reading"),
    Bug("parity of the last batch", "exporting/formats", "all_agree &= all(", "all_agree = all(",
        "exporting/test_export"),
    Bug("only tokens are secret", "text", "TOKEN|SECRET|PASS|PWD|KEY|CREDENTIAL|AUTH", "TOKEN",
        "test_text"),
    Bug("mirrors of any size", "data/download", "if len(data) > max_bytes:", "if False:",
        "data/test_download"),
    Bug("endless patience", "data/download", "if seconds > PATIENCE_S and", "if False and",
        "data/test_download"),
    Bug("silence is waited out", "data/download", "timeout=SILENCE_S", "timeout=9999",
        "data/test_download"),
    Bug("the last score counts", "training/results", 'f"{metric}_best" if', "metric if",
        "test_cli_train"),
    Bug("limits don't decide", "runs/recipe", '"limit_train_batches", ', "", "runs/test_recipe"),
    Bug("one batch size for all", "data/datamodule", "Batches(*data, self.eval_batch_size",
        "Batches(*data, self.batch_size", "data/test_datamodule"),
    Bug("any input", "model/classifier",
        "check_input(x_BHW, self.hparams.side, self.hparams.channels)", "pass",
        "model/test_classifier"),
    Bug("maximize minimises", "model/rmsprop", '"centered", "maximize"', '"centered"',
        "model/test_rmsprop"),
    Bug("metrics are lost", "training/exact_state",
        "trainer.callback_metrics.update({k: torch.tensor(v) for k, v in metrics.items()})",
        "pass", "test_cli_resume"),
    Bug("leftovers stay", "training/saving", "remove_unfinished(self.path.parent)", "pass",
        "test_files"),
    Bug("a look in 15 s", "training/step", "LOOK_EVERY = 0.2", "LOOK_EVERY = 15.0",
        "training/test_step"),
    Bug("grace of 2,000 s", "signals", "GRACE_S = 20 ", "GRACE_S = 2000 ", "test_signals"),
    Bug("any pickle", "runs/archive", "if len(pickled) > MAX_AT_ONCE:", "if False:",
        "runs/test_safe_load"),
    Bug("packed parts", "runs/archive", "entry.compress_type != zipfile.ZIP_STORED", "False",
        "runs/test_safe_load"),
    Bug("orphans live on", "signals", "    if os.getppid() != parent:", "    if False:",
        "test_parent"),
    Bug("JPEGs are grey", "images/decode", "image.draft(None,", 'image.draft("L",',
        "images/test_drawing"),
    Bug("four suggestions", "commands/suggestions", "len(found) <= 3", "len(found) < 3",
        "commands/test_suggestions"),
    Bug("SLURM's megabytes", "sweeps/clusters", "['mem']}GB", "['mem']}MB", "sweeps/test_clusters"),
    Bug("secrets travel", "sweeps/sweep", "{**os.environ} if is_here else {}", "{**os.environ}",
        "sweeps/test_clusters"),
    Bug("a notebook's Ctrl+C", "commands/app", "                signal.signal(number, handler)",
        "                pass", "test_signals"),
    Bug("no collector", "imports", "        gc.enable()", "        pass", "test_imports"),
    Bug("a second stop asks", "sweeps/pool", "KILL if self.is_asked else",
        "signal.SIGTERM if self.is_asked else", "sweeps/test_pool"),
)
# fmt: on


def place(bug: Bug, root: Path = ROOT) -> Path:
    return root / "src" / "digits" / f"{bug.module}.py"


def code_of(tests: str, copy: Path) -> int:
    """0: they pass, 1: one fails; 2 and more: pytest was not even able to begin."""
    test = [sys.executable, "-m", "pytest", "-n0", "-x", f"tests/{tests}.py"]
    return subprocess.run(test, cwd=copy, capture_output=True, check=False).returncode


def is_caught(bug: Bug, copy: Path) -> bool:
    """Its tests fail with it, and pass without."""
    path = place(bug, copy)
    text = path.read_text()
    path.write_text(text.replace(bug.text, bug.instead))
    try:
        has_failed = code_of(bug.tests, copy) == 1
    finally:
        path.write_text(text)
    return has_failed and _passes(bug.tests, copy)


@cache
def _passes(tests: str, copy: Path) -> bool:
    return code_of(tests, copy) == 0


def main(words: list[str]) -> int:
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            duplicate = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            duplicate(ROOT / name, copy / name)
        (copy / "data").symlink_to(ROOT / "data")
        for bug in chosen:
            caught = is_caught(bug, copy)
            missed += [] if caught else [bug]
            print(f"{'caught' if caught else 'MISSED':8}{bug.name} ({bug.module}.py)", flush=True)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
