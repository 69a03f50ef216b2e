import signal
from unittest import mock

import pytest

from digits.prediction import inputs


def test_ctrl_c_while_processes_start_cancels_what_they_would_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = mock.Mock()
    pool.map.side_effect = lambda *_, **__: signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(inputs, "ProcessPoolExecutor", lambda *_: pool)
    monkeypatch.setattr(inputs.resource_tracker, "ensure_running", lambda: None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), inputs.reading(["x.png"] * 200):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
    pool.shutdown.assert_called_once_with(cancel_futures=True)
