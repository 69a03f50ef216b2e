"""A child process ends with its parent, even when that is killed."""

import os
import signal
import subprocess
import sys

import pytest

from support.commands import process

PARENT = """
import subprocess, sys
says = "import time; print(1, flush=True); time.sleep(9); print(2)"
child = "from digits import signals; {how}; " + says
subprocess.Popen([sys.executable, "-c", child]).wait()
"""
WATCHES = "signals._LIBC, signals.LOOK_EVERY_S = None, 0.01; "


def check_child_ends(code: str) -> None:
    """When the process that runs `code`, and started it, is killed."""
    with process("-c", code) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "1\n"  # the child is ready
        first.kill()
        first.wait()
        assert first.stdout.read() == ""  # a child that lives on says 2


@pytest.mark.parametrize("watches", ["", WATCHES], ids=["the kernel", "a thread"])
def test_a_child_ends_when_its_parent_is_killed(watches: str) -> None:
    code = PARENT.replace("{how}", f"{watches}signals.end_with_parent()")
    check_child_ends(code)


def test_a_child_whose_parent_has_gone_before_ends_at_once() -> None:
    gone = f"from digits import signals; signals.end_with_parent({os.getppid()}); print('goes on')"
    run = subprocess.run([sys.executable, "-c", gone], stdout=subprocess.PIPE)
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere exec forgets it")
def test_it_can_be_said_for_a_child() -> None:
    code = """
import subprocess, sys
from digits.signals import end_with_parent
child = "import time; print(1, flush=True); time.sleep(9); print(2)"
subprocess.Popen([sys.executable, "-c", child], preexec_fn=end_with_parent).wait()
"""
    check_child_ends(code)
