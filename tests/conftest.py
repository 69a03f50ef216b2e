"""Commands run in this process (torch is imported once) or, where that matters, in their own."""

import importlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from digits import stop

ROOT = Path(__file__).parents[1]
EMBEDDED = ROOT / "data" / "MNIST" / "raw"
SHORT = ("trainer.max_epochs=2", "trainer.limit_train_batches=30", "data.val_size=5000")


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    outputs: Path

    @property
    def folder(self) -> Path:
        """Of the one run; eval's do not count."""
        (folder,) = self.outputs.glob("[!e]*/20*")
        return folder

    @property
    def metrics(self) -> dict[str, Any]:
        return json.loads((self.folder / "metrics.json").read_text())


def command(script: str, *arguments: str, outputs: Path) -> Outcome:
    """`python src/<script>.py <arguments>` in this process, its runs under `outputs`."""
    main = importlib.import_module(script).main
    argv = [f"src/{script}.py", *arguments, f"paths.outputs_dir={outputs}"]
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = signal.getsignal(signal.SIGTERM)
    with mock.patch.object(sys, "argv", argv), mock.patch.dict(os.environ):
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
            logging.raiseExceptions = True
            for handler in logging.getLogger().handlers[:]:
                if isinstance(handler, logging.FileHandler):
                    handler.close()
                    logging.getLogger().removeHandler(handler)
    return Outcome(code, out.getvalue(), err.getvalue(), outputs)


def tool(script: str, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python src/<script>.py <arguments>`, in this process."""
    main = importlib.import_module(script).main
    out, err = io.StringIO(), io.StringIO()
    before = {number: signal.getsignal(number) for number in stop.SIGNALS}
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        mock.patch.object(sys, "argv", [f"src/{script}.py", *arguments]),
        mock.patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    for number, handler in before.items():
        signal.signal(number, handler)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@contextmanager
def process(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`python <arguments>` on its own, in the repository, with its output in pipes."""
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    run = subprocess.Popen([sys.executable, *arguments], text=True, **options)
    try:
        yield run
    finally:
        run.kill()
        for pipe in (run.stdout, run.stderr):
            if pipe is not None:
                pipe.close()
        run.wait()


def finish(*arguments: str, **options: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python <arguments>`."""
    with process(*arguments, **options) as run:
        out, err = run.communicate(timeout=240)
        return run.returncode, out, err


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A short run with validation, everything on."""
    outcome = command("train", *SHORT, outputs=tmp_path_factory.mktemp("finished"))
    assert outcome.code == 0, outcome.err
    return outcome
