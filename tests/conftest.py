import pytest

from support.commands import SHORT, Outcome, command


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A short run with validation, everything on."""
    outcome = command("train", *SHORT, outputs=tmp_path_factory.mktemp("finished"))
    assert outcome.code == 0, outcome.err
    return outcome
