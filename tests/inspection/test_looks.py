from contextlib import suppress

import pytest
import torch

from digits.errors import InputError
from digits.inspection.looks import only_looks, random_kept


class Looks:
    calls = 0

    @only_looks
    def look(self, error: Exception) -> None:
        self.calls += 1
        raise error


@pytest.mark.parametrize("fails", [False, True])
def test_what_looks_leaves_the_random_numbers_as_they_are(fails: bool) -> None:
    torch.manual_seed(0)
    first = torch.rand(1)
    torch.manual_seed(0)
    with suppress(ValueError), random_kept():
        torch.rand(3)
        if fails:
            raise ValueError
    assert torch.equal(torch.rand(1), first)


def test_a_full_disk_and_wrong_input_end_a_run_another_error_is_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks = Looks()
    with pytest.raises(OSError, match="No space left"):
        looks.look(OSError(28, "No space left"))
    with pytest.raises(InputError):
        looks.look(InputError("x"))
    for name in "ab":
        looks.look(ValueError(name))
    assert looks.calls == 3
    assert [record.levelname for record in caplog.records if record.levelno > 10] == ["WARNING"]
    assert caplog.messages[0].startswith("Looks shows less than it could: ")
