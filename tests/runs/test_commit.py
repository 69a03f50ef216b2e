import subprocess
from pathlib import Path

from digits.runs import recorded

WHO = ("-c", "user.name=x", "-c", "user.email=x@example.org")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *WHO, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_is_clean_until_something_differs_from_it(tmp_path: Path) -> None:
    assert recorded.commit(tmp_path) == {}
    git(tmp_path, "init")
    assert recorded.commit(tmp_path) == {}, "nothing is committed yet"
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-m", "x")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert recorded.commit(tmp_path) == {"commit": commit, "commit_is_clean": True}
    (tmp_path / "a.py").write_text("2")
    assert recorded.commit(tmp_path) == {"commit": commit, "commit_is_clean": False}
    git(tmp_path, "checkout", "a.py")
    (tmp_path / "b.py").write_text("a new file, too")
    assert recorded.commit(tmp_path) == {"commit": commit, "commit_is_clean": False}
