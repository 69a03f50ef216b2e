"""Every command in README.md and docs/runs.md runs, shortened where it would take long."""

import re
import shlex
from pathlib import Path

import pytest

from support import your_own
from support.commands import ROOT, UNSEEN, Outcome, command, tool

README = (ROOT / "README.md").read_text()
RUNS_MD = (ROOT / "docs" / "runs.md").read_text()


def commands(page: str) -> list[str]:
    return [
        line.partition("#")[0].strip()
        for block in re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
        for line in block.splitlines()
    ]


COMMANDS = commands(README) + commands(RUNS_MD)
RUNS = [line.rpartition("&& ")[2] for line in COMMANDS if "python src/" in line]
RUNS.remove("python src/train.py trainer=ddp_sim")  # runs in test_cli_processes.py
RUNS.remove("python src/serve.py")  # runs in serving/
RUNS.remove("python src/report.py latest")  # runs in test_cli_inspect.py
RUNS.remove("python src/train.py debug=overfit")  # runs in test_cli_train.py
RUNS.remove("python src/train.py --help")  # runs in test_cli_processes.py
RUNS.remove("python src/export.py --format onnx")  # runs in exporting/
TOOLS = [line for line in RUNS if "src/predict.py" in line]
RUNS = [line for line in RUNS if line not in TOOLS]
SHORTER = ["trainer.limit_train_batches=5", "trainer.limit_test_batches=2", *UNSEEN]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
THE_USERS = [name for name, _ in your_own.FILE.findall(your_own.TEXT)]
ERRORS = re.findall(r"^\$ python (src/.*)\n(error: .*)$", RUNS_MD, flags=re.MULTILINE)


def test_the_two_commands_stand_first_and_the_rest_is_known() -> None:
    assert COMMANDS[:2] == [
        "pip install -e . && python src/train.py trainer.max_epochs=5",
        "pip install -e '.[dev]' && pytest",  # what runs this test
    ]
    others = [line for line in COMMANDS[2:] if "python src/" not in line]
    assert others == [
        "pip install -e '.[serve,export]'",
        "tensorboard --logdir outputs",  # is started in inspection/test_tensorboard_page.py
    ]
    assert len(README.splitlines()) < 150
    assert len(ERRORS) == 2


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run, which is one of those that are the latest."""
    outputs = tmp_path_factory.mktemp("outputs")
    command("train", "trainer.max_epochs=1", *SHORTER, outputs=outputs)
    return outputs


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[pytest.mark.slow] * (" -m " in line)) for line in RUNS]
)
def test_a_command_runs(line: str, outputs: Path, tmp_path: Path) -> None:
    _, path, *arguments = shlex.split(line)
    has_run = {"ckpt_path=latest", "resume=latest", "weights=latest"} & set(arguments)
    if path == "src/train.py" and "resume=latest" not in arguments:
        arguments += SHORTER
    if "callbacks=early_stopping" in arguments:
        arguments += ["trainer.max_epochs=2"]
    if "-m" in arguments:
        arguments += ["hydra/launcher=basic"]
    where = outputs if has_run else tmp_path
    outcome = command(Path(path).stem, *arguments, outputs=where)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""


@pytest.mark.parametrize("line", TOOLS)
def test_a_tool_runs(line: str, finished: Outcome) -> None:
    _, path, *arguments = shlex.split(line)
    arguments += ["--ckpt", str(finished.folder / "checkpoints" / "best.ckpt")]
    code, out, err = tool(Path(path).stem, *arguments)
    assert (code, err) == (0, "")
    assert out


@pytest.mark.parametrize(("line", "said"), ERRORS)
def test_an_error_reads_as_shown(line: str, said: str, tmp_path: Path) -> None:
    path, *arguments = shlex.split(line)
    outcome = command(Path(path).stem, *arguments, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (2, said + "\n")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    path = ROOT / page
    text = path.read_text()
    words = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)  # without code
    for target in re.findall(r"\]\(([^)#]+)\)", words):
        assert (path.parent / target).exists(), target
    for name in re.findall(r"\b(?:src|tests|configs|benchmarks)/[\w/.]*\w", text):
        assert name in THE_USERS or (ROOT / name).exists(), name
