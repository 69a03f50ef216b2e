"""Which setting is best, from folders as jobs leave them."""

import csv
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from digits.sweeps import leaderboard, table
from digits.sweeps.sweep_folder import SweepFolder
from support.sweeps import job

LR = "model.optimizer.lr"


@pytest.fixture(autouse=True)
def _a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def lines(sweep: Path) -> list[str]:
    return [line for line in table.write(SweepFolder(sweep)).splitlines() if line]


def test_the_mean_over_seeds_ranks_and_the_best_epoch_counts(tmp_path: Path) -> None:
    """Not the median, which is 0.94 and 0.95, nor the last epoch."""
    for seed, (one, other) in enumerate([(0.91, 0.95), (0.94, 0.95), (0.97, 0.83)]):
        job(tmp_path, f"{seed}", [f"{LR}=0.1", f"seed={seed}"], acc=one, last=seed / 10)
        job(tmp_path, f"{seed + 3}", [f"{LR}=0.2", f"seed={seed}"], acc=other)
    assert lines(tmp_path)[1:-1] == [
        "   lr   val/acc best  +-      seeds  against best, 95 %  val/acc  seconds  status",
        "1  0.1  0.9400        0.0300  3      -                   0.1000   2.0      finished",
        "2  0.2  0.9100        0.0693  3      -0.2696 to 0.2096   0.9100   2.0      finished",
        "best  model.optimizer.lr=0.1",
        "best against second of 2 (model.optimizer.lr=0.2): val/acc best +0.0300 "
        "(95 %: -0.2096 to +0.2696, 3 pairs with the same seed), no more than noise",
    ]
    assert data_of(tmp_path)["best"].startswith("best  model.optimizer.lr=0.1. best against sec")


def test_a_lead_beyond_noise_is_told_and_that_the_best_of_many_is_flattered(tmp_path: Path) -> None:
    """Of a loss: pairs of 0.2, 0.22, 0.24, their spread 0.02, the quantile 4.302653."""
    for number, (lr, seed) in enumerate(product("123", "012")):
        loss = int(lr) / 5 + int(seed) * int(lr) / 50
        words = [f"{LR}={lr}", f"seed={seed}"]
        job(tmp_path, str(number), words, **{"val/loss_best": loss})
    assert lines(tmp_path)[-2] == (
        "best against second of 3 (model.optimizer.lr=2): val/loss best -0.2200 "
        "(95 %: -0.2697 to -0.1703, 3 pairs with the same seed), more than noise; "
        "chosen as the best of 3, it is flattered"
    )


def test_a_lucky_seed_does_not_win_over_three(tmp_path: Path) -> None:
    for seed in range(3):
        job(tmp_path, f"{seed}", [f"{LR}=1", f"seed={seed}"], acc=0.9)
        status = "finished" if seed == 0 else "failed"
        scores = {"acc": 0.99} if seed == 0 else {"error": "no luck"}
        job(tmp_path, f"{seed + 3}", [f"{LR}=2", f"seed={seed}"], status, **scores)
    shown = lines(tmp_path)
    assert shown[2].split()[:6] == ["1", "1", "0.9000", "0.0000", "3", "-"]
    assert shown[3].split()[:6] == ["2", "2", "0.9900", "-", "1", "-"]  # one pair: no interval
    assert shown[3].endswith("1 of 3 finished")
    assert "against" not in "".join(shown[2:]), "one pair says nothing"
    assert "job 4 failed (model.optimizer.lr=2 seed=1): no luck" in shown
    assert "best  model.optimizer.lr=1" in shown


def test_what_failed_is_told_with_its_last_line_and_damaged_files_leave_the_others(
    tmp_path: Path,
) -> None:
    job(tmp_path, "0", [f"{LR}=1"], acc=0.9)
    job(tmp_path, "1", [f"{LR}=2"], "diverged", error="train/loss is nan")
    (job(tmp_path, "2", [f"{LR}=3"], "running") / "output.log").write_text(
        "Epoch 1/5\nEpoch 2/5 \x1b[31mred\n\n"
    )
    (job(tmp_path, "3", [f"{LR}=4"], "stopped") / "metrics.json").write_text("{" * 100_000)
    damaged = job(tmp_path, "4", [f"{LR}=5"], acc=0.6)
    (damaged / "status.json").write_text('{"status": ["x"]}')
    (damaged / "metrics.csv").write_bytes(b"\xff\xfe")
    (damaged / ".hydra" / "overrides.yaml").write_text("no: list")
    planned = {str(i): [f"{LR}={i + 1}"] for i in range(6)}
    SweepFolder(tmp_path).write([], planned)  # 5 waits
    shown = lines(tmp_path)
    assert shown[0].endswith(": 6 jobs, 1 finished, 1 diverged, 1 killed, 1 stopped, 2 waiting")
    assert "job 1 diverged (model.optimizer.lr=2): train/loss is nan" in shown
    assert "job 2 killed (model.optimizer.lr=3): Epoch 2/5 [31mred" in shown
    assert [line.split()[0] for line in shown[2:8]] == ["1", *"-----"]
    rows = csv_of(tmp_path)
    assert [(row["rank"], row["job"], row[LR], row["val/acc_best"]) for row in rows[:2]] == [
        ("1", "0", "1", "0.9"), ("2", "1", "2", "")
    ]  # fmt: skip
    assert rows[1]["error"] == "train/loss is nan"


def test_no_number_of_a_job_that_failed_or_of_nan_counts(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"{LR}=1"], acc=0.5)
    job(tmp_path, "1", [f"{LR}=2"], "failed", acc=0.9)
    job(tmp_path, "2", [f"{LR}=3"], acc=float("nan"))
    job(tmp_path, "3", [f"{LR}=4"], acc="0.9")
    job(tmp_path, "4", [f"{LR}=5"], acc=0.95, ended="pruned: val/acc is behind in epoch 1")
    board = leaderboard.read(SweepFolder(tmp_path))
    assert [group.scores for group in board.groups] == [[0.5], [], [], [], []]
    assert board.jobs[4].status == "pruned"


def test_of_several_objectives_the_front_is_marked(tmp_path: Path) -> None:
    """2 is slower than 0, and less accurate; 3 is as accurate as 0, and slower."""
    for name, acc, seconds in (("0", 0.9, 5.0), ("1", 0.8, 4.0), ("2", 0.85, 6.0), ("3", 0.9, 7.0)):
        job(tmp_path, name, [f"{LR}={name}"], acc=acc, fit_seconds=seconds)
    config = {"optimized_metric": ["val/acc", "fit_seconds"]}
    (tmp_path / "0" / ".hydra" / "config.yaml").write_text(json.dumps(config))
    board = leaderboard.read(SweepFolder(tmp_path))
    assert {g.jobs[0].name for g in board.groups if board.is_on_front(g)} == {"0", "1"}
    assert board.winner is None
    assert [line[:1] for line in lines(tmp_path)[2:6]] == ["*", " ", " ", "*"]


def test_a_sweep_without_validation_says_so_and_twenty_rows_fit_on_a_terminal(
    tmp_path: Path,
) -> None:
    for count in range(21):
        job(tmp_path, str(count), [f"{LR}={count}"], **{"train/loss": 0.1, "epochs": 2})
        shown = lines(tmp_path) if count >= 19 else []
        assert (f"and 1 more: {tmp_path}/leaderboard.csv" in shown) == (count == 20)
    assert len([line for line in shown if line.endswith("finished")]) == 21  # and the head
    assert shown[-2] == (
        "no validation: nothing says which setting is best; data.val_size=10000 holds images out"
    )


def test_of_replicates_alone_each_is_shown_and_their_mean(tmp_path: Path) -> None:
    for number, acc in enumerate((0.96, 0.98)):
        words = [f"seed={number}", f"data.fold={number}"]
        job(tmp_path, str(number), words, **{"test/acc": acc, "epochs": 2})
    text = table.text(leaderboard.read(SweepFolder(tmp_path), None, ["seed", "data.fold"]))
    assert text.splitlines()[2:7] == [
        "seed  fold  test/acc  seconds  job  status",
        "0     0     0.9600    2.0      0    finished",
        "1     1     0.9800    2.0      1    finished",
        "mean        0.9700    2.0",
        "+-          0.0141    0.0",
    ]


def data_of(sweep: Path) -> dict[str, Any]:
    page = (sweep / "sweep.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    told: dict[str, Any] = json.loads(data)
    return told


def csv_of(sweep: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((sweep / "leaderboard.csv").read_text().splitlines()))


def repeated(sweep: Path) -> None:
    """Two learning rates, two seeds, two folds; of the second rate one fold of one seed failed."""
    scores = (0.90, 0.92, 0.94, 0.96, 0.89, 0.90, 0.93)
    words = [
        [f"{LR}={lr}", f"seed={s}", f"+data.fold={f}"] for lr, s, f in product("12", "01", "01")
    ]
    for number, acc in enumerate(scores):
        job(sweep, str(number), words[number], acc=acc)
    job(sweep, "7", words[7], "failed")


def test_the_mean_is_over_the_replicates_that_the_sweep_recorded(tmp_path: Path) -> None:
    """Pairs: -0.01, -0.02, -0.01; their spread 0.0057735, the quantile 4.302653."""
    repeated(tmp_path)
    config = json.dumps({"replicates": ["seed", "data.fold"]})
    (tmp_path / "0" / ".hydra" / "config.yaml").write_text(config)
    assert lines(tmp_path)[1:4] == [
        "   lr  val/acc best  +-      n  against best, 95 %  val/acc  seconds  status",
        "1  1   0.9300        0.0258  4  -                   0.9300   2.0      finished",
        "2  2   0.9067        0.0208  3  -0.0277 to 0.0010   0.9067   2.0      3 of 4 finished",
    ]
    rows = csv_of(tmp_path)
    assert [row["pairs"] for row in rows] == [""] * 4 + ["3"] * 4
    gaps = [float(rows[4][name]) for name in ("difference", "difference_low", "difference_high")]
    assert gaps == pytest.approx([-0.04 / 3, -0.0276755, 0.0010088], abs=1e-6)
    best, other = data_of(tmp_path)["groups"]
    assert (best["interval"], other["interval"]) == (None, "-0.0277 to 0.0010 (n=3)")
    assert other["difference"] == -0.013333
    assert (data_of(tmp_path)["over"], data_of(tmp_path)["differing"]) == ("seed, data.fold", [LR])


def test_runs_of_other_lengths_are_not_averaged_and_a_line_says_so(tmp_path: Path) -> None:
    whole = {"epochs": 2, "ended": "trainer.max_epochs"}
    for number, (lr, seed) in enumerate(product("12", "012")):
        job(tmp_path, str(number), [f"{LR}={lr}", f"seed={seed}"], acc=0.8 + number / 100, **whole)
    metrics = whole | {"epochs": 10, "val/acc_best": 0.99, "fit_seconds": 9.0}
    (tmp_path / "5" / "metrics.json").write_text(json.dumps(metrics))
    shown = lines(tmp_path)
    assert shown[0].endswith(": 6 jobs, 5 finished, 1 longer")
    assert shown[2].split()[:5] == ["1", "1", "0.8100", "0.0100", "3"]
    assert shown[3].split()[:5] == ["2", "2", "0.8350", "0.0071", "2"]
    assert f"job 5 longer ({LR}=2 seed=2): 10 epochs, others 2: not counted" in shown
    assert csv_of(tmp_path)[-1]["error"] == "10 epochs, others 2: not counted"


def test_the_winners_test_is_told(tmp_path: Path) -> None:
    """Its mean: the median is 0.97."""
    for seed, score in ((0, 0.97), (1, 0.98), (2, 0.90)):
        job(tmp_path, f"{seed}", [f"{LR}=1", f"seed={seed}"], acc=0.9)
        job(tmp_path, f"{seed + 3}", [f"{LR}=2", f"seed={seed}"], acc=0.8)
        job(tmp_path / "test", f"{seed}", [], **{"test/acc": score})
    board = leaderboard.read(SweepFolder(tmp_path))
    assert len(board.jobs) == 6
    assert board.verdict == "best  model.optimizer.lr=1, test/acc 0.9500 +- 0.0436 (n=3)"
