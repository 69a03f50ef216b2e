import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import pytest

from digits import signals, train
from digits.errors import InputError
from digits.imports import importing


@pytest.fixture(autouse=True)
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signals, "_waits", False)  # a fit in another test may have begun its steps
    before = {number: signal.getsignal(number) for number in (*signals.SIGNALS, signal.SIGALRM)}
    signals.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stopped(*steps: Callable[[], object]) -> tuple[int, int]:
    """How many of a fit's steps were done, and the exit code."""
    done = 0
    try:
        with signals.after_the_step():
            signals.steps_begin()
            for step in steps:
                step()
                done += 1
    except signals.Stopped as stopped:
        return done, stopped.exit_code
    return done, 0


def send(name: str) -> Callable[[], None]:
    return lambda: signal.raise_signal(getattr(signal, name))


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 138)])
def test_a_signal_stops_at_once_but_in_a_fit(name: str, code: int) -> None:
    with pytest.raises(signals.Stopped) as caught:
        send(name)()
    assert caught.value.exit_code == code
    assert stopped(send(name), lambda: None) == (2, code)
    with pytest.raises(signals.Stopped), signals.after_the_step():
        send(name)()  # while a fit gets its data


def test_the_second_signal_stops_at_once_and_so_do_twenty_seconds() -> None:
    assert stopped(send("SIGTERM"), send("SIGINT"), lambda: None) == (1, 130)
    assert stopped(send("SIGTERM"), send("SIGALRM"), lambda: None) == (1, 143)


def test_a_step_has_twenty_seconds_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[int] = []
    monkeypatch.setattr(signal, "alarm", alarms.append)
    assert stopped(send("SIGTERM")) == (1, 143)
    assert alarms == [20, 0]


def interrupted_import() -> None:
    """As NumPy's and ONNX Runtime's are: Ctrl+C comes out as an ImportError."""
    try:
        send("SIGINT")()
    except KeyboardInterrupt:
        raise ImportError("does it fit your Python?") from None


@pytest.mark.parametrize("also", [nullcontext(), suppress(ImportError)], ids=["turned", "lost"])
def test_a_signal_that_an_import_makes_something_else_of_stops(
    also: AbstractContextManager[None],
) -> None:
    with pytest.raises(signals.Stopped) as caught, importing(), also:
        interrupted_import()
    assert caught.value.exit_code == 130
    signals.listen()
    with importing():  # the next command's
        pass


def test_without_a_signal_nothing_happens() -> None:
    assert stopped(lambda: None, lambda: None) == (2, 0)
    assert not signals.asked()
    assert signal.alarm(0) == 0


def test_python_has_its_handlers_and_its_log_back_after_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Ctrl+C, say, in a notebook; whether the run ended well or not."""
    root, handlers = logging.getLogger(), {n: lambda *_: None for n in signals.SIGNALS}
    for number, handler in handlers.items():
        signal.signal(number, handler)
    log, argv, environment = (root.level, root.handlers[:]), sys.argv, dict(os.environ)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="seed=-1: expected a whole number"):
        train("seed=-1")
    settings = ("trainer.fast_dev_run=true", "model.hidden_size=8", "callbacks=none")
    assert train(*settings, "logger=none").status.status == "finished"
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert (root.level, root.handlers, sys.argv, dict(os.environ)) == (*log, argv, environment)
