import sys
from collections.abc import Iterator

import pytest

from support.commands import SHORT, Outcome, command


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A short run with validation, everything on."""
    outcome = command("train", *SHORT, outputs=tmp_path_factory.mktemp("finished"))
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(autouse=True)
def denormals_are_kept() -> Iterator[None]:
    """After a test that trains in this process: hypothesis needs them."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
