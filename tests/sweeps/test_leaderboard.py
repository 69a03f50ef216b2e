"""Which setting is best, from folders as jobs leave them."""

import csv
import json
import re
from pathlib import Path

import pytest

from digits.errors import InputError
from digits.sweeps import ending, leaderboard, table
from digits.sweeps.folder import SweepFolder
from support.sweeps import job

LR = "model.optimizer.lr"


def lines(sweep: Path) -> list[str]:
    return [line for line in ending.write(SweepFolder(sweep)).splitlines() if line]


def test_the_mean_over_seeds_ranks_and_the_best_epoch_counts(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"{LR}=0.1", "seed=0"], acc=0.90, last=0.10)
    job(tmp_path, "1", [f"{LR}=0.1", "seed=1"], acc=0.94, last=0.20)
    job(tmp_path, "2", [f"{LR}=0.2", "seed=0"], acc=0.95, last=0.95)
    job(tmp_path, "3", [f"{LR}=0.2", "seed=1"], acc=0.87, last=0.87)
    assert lines(tmp_path)[1:-1] == [
        "   model.optimizer.lr  val/acc best  +-      seeds  val/acc  seconds  status",
        "1  0.1                 0.9200        0.0283  2      0.1500   2.0      finished",
        "2  0.2                 0.9100        0.0566  2      0.9100   2.0      finished",
        "best  model.optimizer.lr=0.1",
    ]


def test_without_seeds_each_job_has_a_row_and_its_number(tmp_path: Path) -> None:
    for number, acc in enumerate((0.5, 0.7, 0.6)):
        job(tmp_path, str(number), [f"{LR}={number}", "trainer.max_epochs=2"], acc=acc)
    assert [line.split()[:3] + line.split()[-2:] for line in lines(tmp_path)[2:5]] == [
        ["1", "1", "0.7000", "1", "finished"],
        ["2", "2", "0.6000", "2", "finished"],
        ["3", "0", "0.5000", "0", "finished"],
    ]


def test_a_lucky_seed_does_not_win_over_three(tmp_path: Path) -> None:
    for seed in range(3):
        job(tmp_path, f"{seed}", [f"{LR}=1", f"seed={seed}"], acc=0.9)
        status = "finished" if seed == 0 else "failed"
        scores = {"acc": 0.99} if seed == 0 else {"error": "no luck"}
        job(tmp_path, f"{seed + 3}", [f"{LR}=2", f"seed={seed}"], status, **scores)
    shown = lines(tmp_path)
    assert [line.split()[:3] for line in shown[2:4]] == [["1", "1", "0.9000"], ["2", "2", "0.9900"]]
    assert shown[3].endswith("1 of 3 finished")
    assert "job 4 failed (model.optimizer.lr=2 seed=1): no luck" in shown
    assert "best  model.optimizer.lr=1" in shown


def test_what_failed_is_told_with_its_last_line(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"{LR}=1"], acc=0.9)
    job(tmp_path, "1", [f"{LR}=2"], "diverged", error="train/loss is nan")
    killed = job(tmp_path, "2", [f"{LR}=3"], "running")
    (killed / "output.log").write_text("Epoch 1/5\nEpoch 2/5 \x1b[31mred\n\n")
    job(tmp_path, "3", [f"{LR}=4"], "stopped")
    shown = lines(tmp_path)
    assert shown[0].endswith(": 4 jobs, 1 finished, 1 diverged, 1 killed, 1 stopped")
    assert "job 1 diverged (model.optimizer.lr=2): train/loss is nan" in shown
    assert "job 2 killed (model.optimizer.lr=3): Epoch 2/5 [31mred" in shown
    assert [line.split()[0] for line in shown[2:6]] == ["1", "-", "-", "-"]


def test_no_number_of_a_job_that_failed_or_of_nan_counts(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"{LR}=1"], acc=0.5)
    job(tmp_path, "1", [f"{LR}=2"], "failed", acc=0.9)
    job(tmp_path, "2", [f"{LR}=3"], acc=float("nan"))
    job(tmp_path, "3", [f"{LR}=4"], acc="0.9")
    job(tmp_path, "4", [f"{LR}=5"], acc=0.95, ended="pruned: val/acc is behind in epoch 1")
    board = leaderboard.read(SweepFolder(tmp_path))
    assert [group.scores for group in board.groups] == [[0.5], [], [], [], []]
    assert board.jobs[4].status == "pruned"


def test_of_a_loss_and_of_seconds_less_is_better(tmp_path: Path) -> None:
    for name, acc, loss, seconds in (
        ("0", 0.9, 0.3, 5.0),
        ("1", 0.8, 0.2, 6.0),
        ("2", 0.7, 0.4, 4.0),
    ):
        scores = {"acc": acc, "val/loss_best": loss, "fit_seconds": seconds}
        job(tmp_path, name, [f"{LR}={name}"], **scores)

    def first(*metrics: str) -> str:
        return leaderboard.read(SweepFolder(tmp_path), metrics).groups[0].jobs[0].name

    assert (first("val/acc"), first("val/loss"), first("fit_seconds")) == ("0", "1", "2")
    with pytest.raises(InputError, match="--metric val/f1_best: not measured; there are: val/a"):
        first("val/f1")


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


def test_a_sweep_without_validation_says_so(tmp_path: Path) -> None:
    for name in "01":
        job(tmp_path, name, [f"{LR}={name}"], **{"train/loss": 0.1, "epochs": 2})
    assert lines(tmp_path)[-2] == (
        "no validation: nothing says which setting is best; data.val_size=10000 holds images out"
    )


def test_of_seeds_alone_each_is_shown_and_their_mean(tmp_path: Path) -> None:
    for seed, acc in enumerate((0.96, 0.98)):
        job(tmp_path, str(seed), [f"seed={seed}"], **{"test/acc": acc, "epochs": 2})
    assert lines(tmp_path)[1:-1] == [
        "seed  test/acc  seconds  job  status",
        "0     0.9600    2.0      0    finished",
        "1     0.9800    2.0      1    finished",
        "mean  0.9700",
        "+-    0.0141",
    ]


def test_the_csv_has_a_row_for_each_job_with_all_that_was_measured(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"{LR}=1", "seed=0"], acc=0.5)
    job(tmp_path, "1", [f"{LR}=2", "seed=0"], acc=0.6)
    job(tmp_path, "2", [f"{LR}=3", "seed=0"], "failed", error="it, broke")
    ending.write(SweepFolder(tmp_path))
    rows = list(csv.DictReader((tmp_path / "leaderboard.csv").read_text().splitlines()))
    assert [(row["rank"], row["job"], row[LR], row["val/acc_best"]) for row in rows] == [
        ("1", "1", "2", "0.6"), ("2", "0", "1", "0.5"), ("3", "2", "3", "")
    ]  # fmt: skip
    assert rows[2]["error"] == "it, broke"
    assert rows[0]["seed"] == "0"


def test_jobs_that_wait_are_shown(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    job(tmp_path, "0", ["seed=0"], acc=0.5)
    sweep.write(["seed=0,1"], {"0": ["seed=0"], "1": ["seed=1"]})
    board = leaderboard.read(sweep)
    assert [(j.name, j.status, j.words) for j in board.jobs] == [
        ("0", "finished", {"seed": "0"}), ("1", "waiting", {"seed": "1"})
    ]  # fmt: skip


def test_the_winners_test_is_told(tmp_path: Path) -> None:
    for seed, score in ((0, 0.97), (1, 0.98)):
        job(tmp_path, f"{seed}", [f"{LR}=1", f"seed={seed}"], acc=0.9)
        job(tmp_path, f"{seed + 2}", [f"{LR}=2", f"seed={seed}"], acc=0.8)
        job(tmp_path / "test", f"{seed}", [], **{"test/acc": score})
    board = leaderboard.read(SweepFolder(tmp_path))
    assert len(board.jobs) == 4
    told = "best  model.optimizer.lr=1, test/acc 0.9750 +- 0.0071 (n=2)"
    assert table.verdict(board) == told


@pytest.mark.parametrize("folder", ["nothing", "empty"])
def test_a_folder_that_is_no_sweeps_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"{folder}: no sweep's folder; expected one with jobs"):
        leaderboard.read(SweepFolder(tmp_path / folder))


HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_somebody_elses_folder_is_text(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"tags={HOSTILE}"], acc=0.5)
    bad = job(tmp_path, "1", ["tags=b"], "failed", error=f"{HOSTILE}\x1b]0;x\x07\nsecond line")
    (bad / "metrics.json").write_text(json.dumps({HOSTILE: 1, "fit_seconds": "<b>"}))
    text = ending.write(SweepFolder(tmp_path))
    assert "\x1b" not in text
    page = (tmp_path / "sweep.html").read_text()
    assert "<img" not in page
    assert page.count("</script>") == 2
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert json.loads(data)["jobs"][0]["settings"] == {"tags": HOSTILE}


def test_the_page_asks_nothing_of_any_network(tmp_path: Path) -> None:
    job(tmp_path, "0", ["seed=0"], acc=0.5)
    ending.write(SweepFolder(tmp_path))
    page = (tmp_path / "sweep.html").read_text()
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert "/*DATA*/" not in page


def test_a_long_curve_is_thinned_to_its_end(tmp_path: Path) -> None:
    path = job(tmp_path, "0", ["seed=0"], acc=0.5)
    rows = "\n".join(f"{epoch},{epoch / 1000}" for epoch in range(600))
    (path / "metrics.csv").write_text(f"epoch,val/acc\n{rows}\n")
    ending.write(SweepFolder(tmp_path))
    page = (tmp_path / "sweep.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    curve = json.loads(data)["jobs"][0]["curve"]
    assert curve[:2] == [[0, 0.0], [10, 0.01]]
    assert curve[-1] == [599, 0.599]
    assert len(curve) == 61


def test_damaged_files_of_one_job_leave_the_others(tmp_path: Path) -> None:
    job(tmp_path, "0", [f"{LR}=1"], acc=0.5)
    for name in ("1", "2"):
        job(tmp_path, name, [f"{LR}=2"], acc=0.6)
    (tmp_path / "1" / "metrics.json").write_text("{" * 100_000)
    (tmp_path / "2" / "status.json").write_text('{"status": 3}')
    (tmp_path / "2" / "metrics.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "2" / ".hydra" / "overrides.yaml").write_text("no: list")
    board = leaderboard.read(SweepFolder(tmp_path))
    assert [job.status for job in board.jobs] == ["finished", "finished", "waiting"]
    assert board.groups[0].scores == [0.5]
    ending.write(SweepFolder(tmp_path))
