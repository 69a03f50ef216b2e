"""Commands run in this process (torch is imported once) or, where that matters, in their own."""

import importlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from digits import signals
from digits.signals import end_with_parent

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "data" / "MNIST" / "raw"
UNSEEN = ("callbacks.samples=null", "callbacks.watch=null", "callbacks.report=null")
SHORT = ("trainer.max_epochs=2", "trainer.limit_train_batches=30", "data.val_size=5000")
# a run may say so at any time, where the threads may not change
BUSY = "other programs use this machine's cores, and "

# children import this tree, wherever pip has installed one from
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
_mnist: dict[tuple[str, str], Any] = {}


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


def python(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`python <arguments>` in a process of its own, which ends well."""
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def command(script: str, *arguments: str, outputs: Path) -> Outcome:
    """`python src/<script>.py <arguments>` in this process, its runs under `outputs`."""
    from hydra._internal.hydra import Hydra
    from tensorboard.summary.writer import event_file_writer

    from digits.data import idx, unpacking

    # a second's files are read in the order of a counter in their names, as text: 10 before 9
    if event_file_writer._global_uid.get() < 1000:
        event_file_writer._global_uid = event_file_writer.AtomicCounter(1000)

    main = importlib.import_module(script).main
    argv = [f"src/{script}.py", *arguments, f"paths.outputs_dir={outputs}"]
    asks_for_one = any("hparams_search" in word or "hydra" in word for word in arguments)
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = signal.getsignal(signal.SIGTERM)
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ),
        mock.patch.object(idx, "read", _once(idx.read)),
        mock.patch.object(unpacking, "begin", unpacking.begin if not _mnist else _nothing),
        mock.patch.object(Hydra, "get_mode", _nothing if not asks_for_one else Hydra.get_mode),
    ):
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
            logging.raiseExceptions = True
            for handler in logging.getLogger().handlers[:]:
                if isinstance(handler, logging.FileHandler):
                    handler.close()
                    logging.getLogger().removeHandler(handler)
    return Outcome(code, _on_a_quiet_machine(out.getvalue()), err.getvalue(), outputs)


def _nothing(*_: object, **__: object) -> None:
    """Instead of unpacking MNIST ahead of time, when it was read before; and of composing the
    settings once more to see whether they ask for a sweep, which takes half of a short run.
    """


def _on_a_quiet_machine(out: str) -> str:
    return "".join(line for line in out.splitlines(keepends=True) if not line.startswith(BUSY))


def _once(read: Callable[..., Any]) -> Callable[..., Any]:
    """Unpacking MNIST takes 0.4 s, a short run's steps 0.3."""

    def once(raw_dir: Path, names: tuple[str, str], *known: Any) -> Any:
        if raw_dir.resolve() != EMBEDDED:
            return read(raw_dir, names, *known)
        if names not in _mnist:
            _mnist[names] = read(raw_dir, names)
        return _mnist[names]

    return once


def tool(script: str, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python src/<script>.py <arguments>`, in this process."""
    main = importlib.import_module(script).main
    out, err = io.StringIO(), io.StringIO()
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        mock.patch.object(sys, "argv", [f"src/{script}.py", *arguments]),
        mock.patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    logging.disable(logging.NOTSET)  # serve.py is quiet as long as it lives
    for number, handler in before.items():
        signal.signal(number, handler)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@contextmanager
def process(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`python <arguments>` on its own, in the repository, with its output in pipes."""
    options = {
        "cwd": ROOT,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "preexec_fn": partial(end_with_parent, os.getpid()) if sys.platform == "linux" else None,
    } | options
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
    """Exit code, stdout and stderr of `python <arguments>`, as ever on a busy machine."""
    with process(*arguments, **options) as run:
        out, err = run.communicate(timeout=240)
        return run.returncode, _on_a_quiet_machine(out), err
