import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.commands import SHORT, Outcome, command


def pytest_configure(config: pytest.Config) -> None:
    """As many threads as cores, shared among the workers: a thread that waits for another loses a
    step's time each time that another worker has its core. Before anything imports torch.
    """
    if config.getoption("numprocesses", None):
        return  # the workers, who would inherit it, run the tests
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A short run with validation, everything on."""
    outcome = command("train", *SHORT, outputs=tmp_path_factory.mktemp("finished"))
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(autouse=True)
def torch_is_as_before() -> Iterator[None]:
    """After a test that trains in this process: hypothesis needs denormals, a run its threads."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """SIGTERM comes after so many batches; none any more with 0."""
    from digits import signals
    from digits.training import step as written_out
    from digits.training.pauses import Pauses

    look, at = Pauses.between_steps, [0]

    def stopping(self: Any, trainer: Any) -> None:
        done = trainer.fit_loop.total_batch_idx + 1
        if done == at[0] > 0 and not signals.asked():
            signals._handle(signal.SIGTERM, None)
        look(self, trainer)

    monkeypatch.setattr(Pauses, "between_steps", stopping)
    monkeypatch.setattr(written_out, "LOOK_EVERY", 0.0)
    yield lambda batches: at.__setitem__(0, batches)
    signal.alarm(0)
