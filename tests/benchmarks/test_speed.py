"""The benchmark's own arithmetic; what it measures is in benchmarks/results."""

import json
from pathlib import Path
from typing import Any

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
    ratios = ["0.80", "1.50", "0.80", "0.25", "0.50", "1.60", "0.50"]
    assert [line.split()[-1] for line in compare.ratios(WHOLE)] == ratios


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


RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*-cores.json"))


def test_the_committed_results_are_complete() -> None:
    assert RESULTS
    for path in RESULTS:
        results = json.loads(path.read_text())
        assert {"processes", "machine"} <= results.keys()
        told = results["machine"]
        assert path == measure.results_file(told["cpu"], told["cores"])
        for name in ("ours", "bare PyTorch loop", "JAX, lax.scan"):
            assert len(results["processes"][name]) >= 5
            assert compare.median(results["processes"][name], "test_accuracy") > 0.97
        assert "steady epoch / JAX" in compare.summary(results)


def test_each_kind_of_machine_has_a_file() -> None:
    intel = "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz (6, 143)"
    assert measure.results_file("AMD EPYC (25, 17)", 2).name == "amd-epyc-25-17-2-cores.json"
    name = "intel-xeon-platinum-8481c-cpu-2.70ghz-6-143-8-cores.json"
    assert measure.results_file(intel, 8) == ROOT / "benchmarks" / "results" / name
