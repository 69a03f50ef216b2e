import os
import signal
import sys
from collections.abc import Callable, Iterator

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
def stop_at() -> Iterator[Callable[[int], None]]:
    """SIGTERM comes after so many batches; none any more with 0."""
    from digits.testing import stopping

    at = [0]
    with stopping(lambda: at[0]):
        yield lambda batches: at.__setitem__(0, batches)
    signal.alarm(0)
