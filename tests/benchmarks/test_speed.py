"""The benchmark's own arithmetic and pictures; what it measures is in benchmarks/results."""

import json
import sys
from pathlib import Path
from typing import Any

import chart
import compare
import measure
import pytest

from support.commands import ROOT


def runs(seconds: float, fit: float, epochs: list[float], mib: float) -> list[dict[str, Any]]:
    report = {"fit_seconds": fit, "epoch_seconds": epochs, "test_accuracy": 0.98}
    return [{"seconds": seconds + more, "peak_mib": mib, "report": report} for more in (-1, 0, 5)]


WHOLE = {
    "ours": runs(8, 4, [0.6], 100),
    "bare PyTorch loop": runs(10, 5, [9, 1, 1], 200),
    "stock Lightning": runs(32, 24, [5], 300),
    "Keras, TensorFlow": runs(16, 10, [3, 2], 300),
    "JAX, lax.scan": runs(5, 3, [9.0, 0.3, 0.5, 0.4], 50),
}


def test_ratios_are_of_medians_and_leave_the_first_epoch_out() -> None:
    assert [line.split()[-1] for line in chart.ratios(WHOLE)] == [
        "0.80",
        "1.50",
        "0.25",
        "0.50",
        "0.80",
        "0.50",
    ]


def test_pictures_are_drawn(tmp_path: Path) -> None:
    growth = {what: {"ours": [[1, 2.0], [3, 4.0]]} for what in compare.GROWTH}
    chart.draw({"processes": WHOLE, "growth": growth}, tmp_path / "speed.png")
    for name in ("speed.png", "speed-growth.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_command_is_measured_from_outside(tmp_path: Path) -> None:
    script = (
        "import json, time; b = bytearray(1 << 28); time.sleep(0.3); print(json.dumps({'a': 1}))"
    )
    run = measure.run(["-c", script], tmp_path)
    assert run.report == {"a": 1}
    assert 0.3 < run.seconds < 5
    assert run.peak_mib > 256  # Linux counts what was there before exec, too: this process


def test_a_failing_command_is_shown(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        measure.run(["-c", "raise SystemExit(3)"], tmp_path)


def test_the_committed_results_are_complete() -> None:
    path = ROOT / "benchmarks" / "results" / "2-cores-x86_64.json"
    results = json.loads(path.read_text())
    assert {"processes", "startup", "inference", "neighbour", "growth", "machine"} <= results.keys()
    for name in (*compare.PEERS, "ours"):
        assert len(results["processes"][name]) >= 5
        assert chart.median(results["processes"][name], "test_accuracy") > 0.97
    assert "steady epoch / JAX" in compare.summary(results)


def test_an_unknown_section_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["compare.py", "everything"])
    with pytest.raises(SystemExit) as stop:
        compare.main()
    assert stop.value.code == 2
    assert "everything: expected some of processes" in capsys.readouterr().err
