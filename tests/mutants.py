"""Bugs that no test once noticed, put in again one by one: each must fail the tests beside it.

`python tests/mutants.py [WORD ...]` works on a copy of the repository, and takes ten minutes on two
cores; with words, only the bugs with one of them in their name.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("benchmarks", "configs", "docs", "src", "tests", "pyproject.toml", "README.md")


class Bug(NamedTuple):
    name: str
    module: str  # of src/digits
    text: str  # stands there once
    instead: str
    tests: str  # of tests/


BUGS = (
    Bug("bodies are held for ever", "body", "self.held.remove(body)", "pass", "body"),
    Bug("the CSP is opened", "guard", "default-src 'none'", "default-src *", "server"),
    Bug("a header is gone", "guard", '    "x-frame-options": "DENY",\n', "", "server"),
    Bug("20,000 connections", "limits", "connections: int = 200", "connections: int = 20000",
        "limits"),
    Bug("readers take any memory", "reader", "resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)",
        "resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)", "readers"),
    Bug("EPS is opened", "image", '{"EPS", ', "{", "image"),
    Bug("faint ink is no stroke", "strokes", "INKED = 0.3", "INKED = 0.5", "strokes"),
    Bug("digits stand in any order", "strokes", "in sorted(line, key=lambda each: each.left)",
        "in line", "strokes"),
    Bug("no temperature", "predictor", "sure.tempered(self.network(images_NHW), measured.tempera"
        "ture)", "self.network(images_NHW)", "predictor"),
    Bug("all is sure", "predictor", ">= measured.threshold", ">= measured.threshold / 10",
        "predictor"),
    Bug("parity of the last batch", "parity", "agree &= all(", "agree = all(", "export"),
    Bug("only tokens are secret", "redact", "TOKEN|SECRET|PASS|PWD|KEY|CREDENTIAL|AUTH", "TOKEN",
        "redact"),
    Bug("mirrors of any size", "download", "if len(data) > MAX_BYTES:", "if False:", "download"),
    Bug("endless patience", "download", "if seconds > PATIENCE_S and", "if False and", "download"),
    Bug("silence is waited out", "download", "timeout=SILENCE_S", "timeout=9999", "download"),
    Bug("the last score counts", "runs", 'f"{metric}_best" if', "metric if", "cli_train"),
    Bug("limits don't decide", "settings", '        "limit_train_batches",\n', "", "settings"),
    Bug("one batch size for all", "datamodule", "Batches(*data, self.eval_batch_size",
        "Batches(*data, self.batch_size", "datamodule"),
    Bug("any input", "model", "            check_input(x_BHW)", "            pass", "model"),
    Bug("maximize minimises", "optim", '"centered", "maximize"', '"centered"', "optim"),
    Bug("traces have oneDNN", "linear",
        "and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]", "",
        "linear"),
    Bug("metrics are lost", "state", "trainer.callback_metrics.update({k: torch.tensor(v) for k, v "
        "in metrics.items()})", "pass", "integrity"),
    Bug("leftovers stay", "saving", "remove_unfinished(self.path.parent)", "pass", "files"),
    Bug("a look in 15 s", "loop", "LOOK_EVERY = 0.2", "LOOK_EVERY = 15.0", "loop"),
    Bug("grace of 2,000 s", "stop", "GRACE_S = 20 ", "GRACE_S = 2000 ", "stop"),
    Bug("any pickle", "plain", "if pickle.file_size > MAX_PICKLE_BYTES:", "if False:", "plain"),
    Bug("packed parts", "plain", "entry.compress_type != zipfile.ZIP_STORED", "False", "plain"),
    Bug("orphans live on", "parent", "    _end_without(parent)  # it", "    return  # it",
        "parent"),
    Bug("JPEGs are grey", "image", "image.draft(None,", 'image.draft("L",', "image"),
)  # fmt: skip


def place(bug: Bug, root: Path = ROOT) -> Path:
    return root / "src" / "digits" / f"{bug.module}.py"


def is_caught(bug: Bug, copy: Path) -> bool:
    path = place(bug, copy)
    text = path.read_text()
    path.write_text(text.replace(bug.text, bug.instead))
    try:
        test = [sys.executable, "-m", "pytest", "-n0", "-x", f"tests/test_{bug.tests}.py"]
        code = subprocess.run(test, cwd=copy, capture_output=True, check=False).returncode
    finally:
        path.write_text(text)
    return code == 1  # 2 and more: pytest was not even able to begin


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
