import mutants


def test_each_bug_can_still_be_put_in() -> None:
    """`python tests/mutants.py` puts each in and runs its tests, without it too."""
    for bug in mutants.BUGS:
        assert mutants.place(bug).read_text().count(bug.text) == 1, bug
        assert (mutants.ROOT / "tests" / f"{bug.tests}.py").is_file(), bug
