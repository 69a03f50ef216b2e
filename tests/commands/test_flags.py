import pytest

from digits.commands import flags
from digits.errors import InputError
from support.commands import tool


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--nope seed=1", "--nope: no such flag; --help shows all"),
        ("--multi-run seed=1", "--multi-run: no such flag; did you mean --multirun?"),
        ("--config-dri=x", "--config-dri: no such flag; did you mean --config-dir?"),
        ("--cfg jobs", "argument --cfg/-c: invalid choice: 'jobs' (choose from "),
        ("--cfg", "argument --cfg/-c: expected one argument; --help shows all"),
        ("seed=1 -m lr=2", "lr=2: expected beside the others, flags before or after them all"),
    ],
)
def test_unknown_flags_are_one_line(words: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        flags.of_hydra(words.split())
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [["--ckptt", "x", "a.png"], ["a.png", "--top", "1\n2"]])
def test_the_tools_say_it_in_one_line_too(words: list[str]) -> None:
    code, out, err = tool("predict", *words)
    assert (code, out) == (2, "")
    assert err in (
        "error: --ckptt: no such flag; did you mean --ckpt?\n",
        "error: argument --top: 1 2: expected a whole number from 1 to 10; --help shows all\n",
    )


@pytest.mark.parametrize("words", ["--help", "--hydra-help", "-c job", "-i", "-sc query=bash"])
def test_a_question_runs_no_job(words: str) -> None:
    flags.check_is_question(flags.of_hydra(words.split()))


def test_a_sweep_without_jobs_is_refused() -> None:
    parsed = flags.of_hydra(["-m", "seed=range(5,1)", "trainer.max_epochs=1"])
    with pytest.raises(InputError) as caught:
        flags.check_is_question(parsed)
    assert str(caught.value) == "seed=range(5,1): no job to run; expected at least one value"
