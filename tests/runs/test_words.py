import pytest

from digits.errors import InputError
from digits.runs.words import Words
from support.commands import tool

LINES = {
    "--multi-run seed=1": "--multi-run: no such flag; did you mean --multirun?",
    "--seed=3 -m": "--seed: no such flag; a setting is written without the dashes: seed=3",
    "--cfg jobs": "argument --cfg/-c: invalid choice: 'jobs' (choose from ",
    "--cfg": "argument --cfg/-c: expected one argument; --help shows all",
    "seed=1 -m lr=2": "lr=2: expected beside the others, flags before or after them all",
}


def test_unknown_flags_are_one_line() -> None:
    for words, line in LINES.items():
        with pytest.raises(InputError) as caught:
            Words.parse(words.split())
        assert str(caught.value).startswith(line)
        assert "\n" not in str(caught.value)


def test_the_tools_say_it_in_one_line_too() -> None:
    assert tool("predict", "--ckptt", "x", "a.png") == (
        2, "", "error: --ckptt: no such flag; did you mean --ckpt?\n"
    )  # fmt: skip
    for given in ("0", "11", "1\n2"):
        line = "expected a whole number from 1 to 10; --help shows all\n"
        said = f"error: argument --top: {given.replace(chr(10), ' ')}: {line}"
        assert tool("predict", "a.png", "--top", given) == (2, "", said)
    assert "--top" not in tool("predict", "a.png", "--top", "10")[2]


def test_a_question_runs_no_job() -> None:
    for words in ("--help", "--hydra-help", "-c job", "-i", "-sc query=bash"):
        assert Words.parse(words.split()).asks


def test_a_command_line_is_taken_apart() -> None:
    given = ["-m", "--config-dir", "mine", "a.b=1", "+c='x y'", "++a.b=[2]", "~d", "e/f=g"]
    words = Words.parse(given)
    assert (words.is_sweep, words.asks) == (True, False)
    assert [words.value(name) for name in ("a.b", "c", "d", "e/f", "no")] == [
        [2], "x y", None, "g", None
    ]  # fmt: skip
    assert words.keys() == {"a.b", "c", "d", "e/f"}
    assert words.flag_words("config_") == ["--config-dir=mine"]
    assert words.argv() == ["--multirun", "--config-dir=mine", *given[3:]]
    assert words.without(("a.b",)).after(["z=1"]).overrides == ("z=1", "+c='x y'", "~d", "e/f=g")
    assert Words.parse(["hydra.mode=MULTIRUN"]).is_sweep
