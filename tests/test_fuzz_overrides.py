"""Any words on the command line get one line and exit code 2, never a traceback."""

import tempfile
from pathlib import Path

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from conftest import command

KEYS = [
    "seed",
    "data.batch_size",
    "model",
    "model/optimizer",
    "trainer.max_epochs",
    "resume",
    "ckpt_path",
    "callbacks.bar",
    "paths.data_dir",
    "+x",
    "++trainer.foo",
    "~callbacks",
    "~logger",
    "data.mirrors",
    "a.b.c",
    "optimized_metric",
    "experiment",
    "debug",
    "callbacks.last.train_time_interval",
    "task_name",
    "train",
]
VALUES = [
    "",
    "null",
    "-1",
    "1e999",
    "nan",
    "[]",
    "{}",
    "{_target_:os.system}",
    "[1",
    "'",
    '"',
    "${x}",
    "${seed}",
    "${oc.env:HOME}",
    "~",
    "/",
    "..\n${oc.decode:'1+1'}",
    "${hydra:runtime.cwd}",
    "a,b",
    "glob(*)",
    "choice(1,2)",
    "\\",
    "%s",
    "{0}",
    "é",
    "a=b",
    "latest",
    "outputs",
    "false\n",
]
ODD = ["", "\x00", "\n", "\u202e", "x" * 5000, "\ud800"]
OUTPUTS = Path(tempfile.mkdtemp(prefix="digits-fuzz-"))
words = st.builds(
    "{}={}".format,
    st.sampled_from([*KEYS, ""]),
    st.sampled_from([*VALUES, *ODD]) | st.text(max_size=6),
)


@settings(
    derandomize=True,
    max_examples=150,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    database=None,
)
@given(st.lists(words, min_size=1, max_size=3))
@example(["seed=${seed}"])
@example(["resume=\x00"])
def test_words(given_words: list[str]) -> None:
    outcome = command("train", *given_words, "trainer.max_steps=0", outputs=OUTPUTS)
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.err.startswith("error: ")
    assert len(outcome.err.splitlines()) == 1
