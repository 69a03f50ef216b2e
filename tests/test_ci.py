"""`.ci/run` with stand-ins for all that it calls: what fails there fails it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.commands import ROOT

SERVERS = ("pg_lsclusters", "slurmctld", "slurmd", "munged")
TOOLS = ("pip", "ruff", "mypy", "pytest", "python3", "apt-get", "chromium", "fc-list", *SERVERS)
STAND_IN = """#!{bash}
echo "$(basename "$0") $*" >>"{calls}"
case "$0 $*" in
{fails}) exit 1 ;;
*/python3\\ -m\\ venv*) mkdir -p "$3/bin" && ln -s "{tools}"/pip "{tools}"/pytest "$3/bin" ;;
*/fc-list*) echo "DejaVu Sans, Liberation Sans" ;;
*/apt-get*) sleep 0.1 ;;
esac
"""


def run(folder: Path, fails: str = "nothing", lacks: str = "nothing") -> tuple[int, list[str], str]:
    """Exit code, the calls of tools, and stderr, where what matches `fails` does, without `lacks`.

    ruff and mypy are on the PATH already, as they may be on anybody's machine.
    """
    tools, calls = folder / "bin", folder / "calls"
    tools.mkdir()
    for name in ("bash", "basename", "dirname", "mkdir", "mktemp", "ln", "rm", "sleep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name in (name for name in TOOLS if name != lacks):
        text = STAND_IN.format(bash=shutil.which("bash"), calls=calls, tools=tools, fails=fails)
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    env = {"PATH": str(tools), "TMPDIR": str(folder)}
    done = subprocess.run(
        [ROOT / ".ci" / "run"], env=env, cwd=folder, capture_output=True, text=True, check=False
    )
    assert {path.name for path in folder.iterdir()} == {"bin", "calls"}  # it cleans up
    return done.returncode, calls.read_text().splitlines(), done.stderr


def test_lint_comes_first_and_every_test_runs(tmp_path: Path) -> None:
    code, calls, _ = run(tmp_path)
    assert code == 0
    assert [call for call in calls if call.startswith(("pip", "ruff", "mypy", "pytest"))] == [
        "pip install -q -e .[dev]",
        "ruff check .",
        "ruff format --check .",
        "mypy ",
        "pytest ",
        "pytest -m slow",
    ]
    assert not any(call.startswith("apt-get") for call in calls)


@pytest.mark.parametrize(
    ("fails", "last"),
    [
        ("*/pip*", "pip "),
        ("*check\\ .", "ruff check"),
        ("*/mypy*", "mypy "),
        ("*slow", "pytest -m"),
    ],
)
def test_what_fails_fails_it(fails: str, last: str, tmp_path: Path) -> None:
    code, calls, _ = run(tmp_path, fails)
    assert code == 1
    in_turn = [call for call in calls if not call.startswith(("apt-get", "fc-list"))]
    assert in_turn[-1].startswith(last)


def test_without_a_browser_or_a_server_it_installs_one_or_goes_on(tmp_path: Path) -> None:
    for name, fails, lacks in (("a", "nothing", "chromium"), ("b", "*apt-get*", "slurmd")):
        (folder := tmp_path / name).mkdir()
        code, calls, err = run(folder, fails, lacks)
        assert (code, calls[-1]) == (0, "pytest -m slow")
        assert "apt-get update -qq" in calls
        assert ("their tests are skipped" in err) == (name == "b")


def test_nothing_is_installed_half(tmp_path: Path) -> None:
    code, calls, _ = run(tmp_path, "*/pip*", "chromium")
    assert (code, sum(call.startswith("apt-get install") for call in calls)) == (1, 1)
