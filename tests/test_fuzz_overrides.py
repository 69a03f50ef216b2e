"""Any words on the command line get one line and exit code 2, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from digits.commands import going_on
from digits.commands import settings as digits_settings
from digits.errors import exit_code, one_line
from digits.runs import recipe
from digits.runs.words import Words
from support.settings import WITH_ALL

KEYS = [
    "seed", "model", "model/optimizer", "trainer.max_epochs", "resume", "ckpt_path", "+x", "a.b.c",
    "callbacks.bar", "paths.data_dir", "++trainer.foo", "~callbacks", "data.mirrors", "experiment",
    "callbacks.last.train_time_interval", "optimized_metric", "debug", "task_name", "train",
]  # fmt: skip
VALUES = [
    "", "null", "-1", "1e999", "nan", "[]", "{}", "{_target_:os.system}", "[1", "'", '"', "${x}",
    "${seed}", "${oc.env:HOME}", "~", "/", "..\n${oc.decode:'1+1'}", "${hydra:runtime.cwd}", "a,b",
    "glob(*)", "choice(1,2)", "\\", "%s", "{0}", "é", "a=b", "latest", "outputs", "false\n",
]  # fmt: skip
LEAVES = sorted(recipe.keys(WITH_ALL))
ODD = ["", "\x00", "\n", "\u202e", "x" * 5000, "\ud800"]
words = st.lists(
    st.builds(
        "{}={}".format,
        st.sampled_from([*KEYS, ""]),
        st.sampled_from([*VALUES, *ODD]) | st.text(max_size=6),
    ),
    min_size=1,
    max_size=3,
)
plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES)
)
values = plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=3), plain)


def fuzzed(examples: int) -> settings:
    phases = [Phase.explicit, Phase.generate]
    return settings(
        derandomize=True, max_examples=examples, phases=phases, deadline=None, database=None
    )


@contextmanager
def nothing_or_one_line() -> Iterator[None]:
    try:
        yield
    except Exception as raised:
        error = raised
    else:
        return
    line = one_line(error)
    assert exit_code(error) == 2
    assert line
    assert line.splitlines() == [line]


@fuzzed(120)
@given(given_words=words | st.lists(st.text(max_size=9), max_size=3))
def test_a_command_line_is_taken_apart_or_refused(given_words: list[str]) -> None:
    with nothing_or_one_line():
        words = Words.parse(given_words)
        going_on.rewritten("train", words)
        words.parsed  # noqa: B018


@fuzzed(80)
@given(key=st.sampled_from(LEAVES), value=values)
@example(key="data", value=5)
def test_any_value_passes_or_is_refused(key: str, value: Any) -> None:
    cfg = WITH_ALL.copy()
    with nothing_or_one_line():
        OmegaConf.update(cfg, key, value)
        digits_settings.check(cfg)
        digits_settings.check_types(cfg)
