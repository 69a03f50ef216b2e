import pytest

import mutants


@pytest.mark.parametrize("bug", mutants.BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_still_be_put_in(bug: mutants.Bug) -> None:
    """`python tests/mutants.py` puts each in and runs its tests."""
    assert mutants.place(bug).read_text().count(bug.text) == 1
