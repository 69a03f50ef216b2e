"""Optuna's trials as a sweep's jobs: counted right, told right, gone on with."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import pytest
from omegaconf import OmegaConf

from digits.errors import InputError
from digits.runs.status import Status
from digits.sweeps.job import Job
from digits.sweeps.search import Search
from digits.sweeps.study import of_this_job
from digits.sweeps.sweep_folder import SweepFolder
from digits.text import without_passwords
from support.commands import ROOT
from support.sweeps import job as folder_of_job

SAMPLERS = sorted((ROOT / "configs" / "hydra" / "sweeper" / "sampler").glob("*.yaml"))

Then = Callable[[Job], Status | None]


def good(job: Job) -> Status:
    lr = float(dict(word.split("=") for word in job.words)["lr"])
    return Status("finished", objective=1 - (lr - 0.3) ** 2)


class Sweep:
    """Runs jobs as `then` says; None is a kill of the sweep with the job under way."""

    def __init__(self, folder: Path, then: Then = good, slots: int = 1) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.then, self.slots = SweepFolder(folder), then, slots
        self.jobs: list[Job] = []

    def begin(self) -> None:
        pass

    def place(self, number: int, words: list[str]) -> Path:
        return self.folder.path / str(number)

    def run(self, next_job: Any, ended: Any, count: int | None = None) -> None:
        self.count = count
        running: list[Job] = []
        while True:
            while len(running) < self.slots and (job := next_job()):
                running.append(job)
                self.jobs.append(job)
            if not running:
                return
            job = running.pop(0)
            status = self.then(job)
            if status is None:
                raise KeyboardInterrupt
            ended(job, status)


def search(sweep: Sweep, storage: str | None = None, **more: Any) -> optuna.Study:
    given = {"metric": "val/acc", "arguments": [], "best": None, **more}
    config = {
        "optimized_metric": given.pop("metric"),
        "callbacks": {"best": given.pop("best")},
        "hydra": {"sweeper": {"storage": storage}},
    }
    settings, arguments = OmegaConf.create(config), given.pop("arguments")
    options = {
        "n_trials": 4,
        "storage": settings.hydra.sweeper.storage,  # as Hydra resolves it
        "study_name": "s" if storage else None,
        "params": {"lr": "interval(0.0, 1.0)"},
        "sampler": OmegaConf.create({"_target_": "optuna.samplers.RandomSampler", "seed": 1}),
    } | given
    found = Search(options, settings, sweep)
    found.run(arguments)
    return found.study


def killed(folder: Path, slots: int = 1) -> Sweep:
    """A sweep that was killed while its first jobs were under way."""
    sweep = Sweep(folder, lambda _: None, slots)
    with pytest.raises(KeyboardInterrupt):
        search(sweep)
    return sweep


def change(folder: Path, statement: str, *values: object) -> None:
    """What stands in the study, as anybody might who can write to its file."""
    with closing(sqlite3.connect(folder / "study.db")) as base, base:
        base.execute(statement, values)


def told(folder: Path, trial: int, name: str, value: str) -> None:
    change(folder, "REPLACE INTO trial_user_attributes (trial_id, key, value_json) "
           "VALUES (?, ?, ?)", trial + 1, name, value)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def environment_is_as_before() -> Iterator[None]:
    """A search tells its jobs by it where the study is."""
    with mock.patch.dict(os.environ):
        yield


def states(study: optuna.Study) -> dict[str, int]:
    return dict(Counter(trial.state.name for trial in study.get_trials()))


def test_each_trial_is_a_job_and_its_score_is_told(tmp_path: Path) -> None:
    name = "what? a#b{x}50%20"
    sweep = Sweep(tmp_path / name, slots=3)
    study = search(sweep, arguments=["seed=7"])
    assert states(study) == {"COMPLETE": 4}
    assert study.direction.name == "MAXIMIZE"
    for job, trial in zip(sweep.jobs, study.trials, strict=True):
        assert job.words == ("seed=7", f"lr={trial.params['lr']}")
        assert trial.value == pytest.approx(1 - (trial.params["lr"] - 0.3) ** 2)
        assert dict(job.environment)["DIGITS_TRIAL"] == f"{trial.number} {name}"
        assert job.folder == tmp_path / name / str(trial.number)
    assert (tmp_path / name / "study.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    trial = of_this_job(os.environ["DIGITS_STUDY_STORAGE"], f"3 {name}")
    assert trial.params == study.trials[3].params


def test_what_fails_is_replaced_and_what_was_killed_tried_again(tmp_path: Path) -> None:
    ends = {0: Status("diverged"), 1: Status("killed"), 3: Status("failed", "x")}

    def then(job: Job) -> Status:
        if job.number == 4:
            folder_of_job(tmp_path / "a", "4", [], ended="pruned: val/acc is behind in epoch 1")
        return ends.pop(job.number, None) or good(job)

    sweep = Sweep(tmp_path / "a", then)
    study = search(sweep)
    assert states(study) == {"COMPLETE": 3, "PRUNED": 1, "FAIL": 3}
    (again,) = [trial for trial in study.trials if "retry_of" in trial.user_attrs]
    assert again.user_attrs["retry_of"] == 1
    assert again.params == study.trials[1].params
    assert [job.number for job in sweep.jobs].count(1) == 2  # in the same folder
    all_fail = search(Sweep(tmp_path / "b", lambda _: Status("failed", "x")))
    assert states(all_fail) == {"FAIL": 5}


def test_a_stopped_and_a_killed_search_go_on_with_the_trials_under_way(tmp_path: Path) -> None:
    ends = {0: Status("stopped"), 2: None}
    first = Sweep(tmp_path / "a", lambda job: ends.get(job.number, good(job)), slots=2)
    with pytest.raises(KeyboardInterrupt):
        search(first)
    second = Sweep(tmp_path / "a", slots=2)
    study = search(second)
    assert states(study) == {"COMPLETE": 4}
    assert [job.number for job in second.jobs] == [0, 2, 3]
    assert second.jobs[1].words == first.jobs[2].words
    assert second.count == 3
    assert len({trial.params["lr"] for trial in study.trials}) == 4  # the seed has moved on


def test_two_sweeps_share_a_study_and_none_is_one_too_many(tmp_path: Path) -> None:
    """The second begins, and ends, while a job of the first is under way."""
    storage = f"sqlite:///{tmp_path}/shared.db"
    others: list[Sweep] = []

    def then(job: Job) -> Status:
        if len(first.jobs) == 3 and not others:
            others.append(Sweep(tmp_path / "b", slots=2))
            search(others[0], storage, n_trials=6)
        return good(job)

    first = Sweep(tmp_path / "a", then, slots=2)
    study = search(first, storage, n_trials=6)
    counted = [trial for trial in study.trials if "surplus" not in trial.user_attrs]
    assert [trial.state.name for trial in counted] == ["COMPLETE"] * 6
    numbers = [job.number for sweep in (first, *others) for job in sweep.jobs]
    assert sorted(numbers) == sorted(trial.number for trial in counted)
    assert len({trial.params["lr"] for trial in counted}) == 6


def test_earlier_results_are_known_and_not_counted(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    folder_of_job(earlier, "0", ["lr=0.3"], acc=0.9)
    folder_of_job(earlier, "1", ["lr=2"], acc=0.9)  # outside
    folder_of_job(earlier, "2", ["lr=0.4"], "failed", error="x")
    study = search(Sweep(tmp_path / "a"), warm_start=[str(earlier)])
    assert states(study) == {"COMPLETE": 5}
    known = study.trials[0]
    assert (known.params, known.value) == ({"lr": 0.3}, 0.9)
    assert known.user_attrs == {"warm_start": str(earlier / "0")}
    study = search(Sweep(tmp_path / "a"), warm_start=[str(earlier)])
    assert len(study.trials) == 5
    with pytest.raises(InputError, match="none of its jobs chose from these params"):
        search(Sweep(tmp_path / "b"), warm_start=[str(earlier)], params={"x": "1,2"})


def test_several_objectives_have_a_direction_each(tmp_path: Path) -> None:
    then = lambda job: Status("finished", objective=[0.9, float(job.number)])  # noqa: E731
    study = search(Sweep(tmp_path / "a", then), metric=["val/acc", "fit_seconds"])
    assert [way.name for way in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.number for trial in study.best_trials] == [0]


def test_a_studys_words_and_folders_and_what_the_space_has_not_are_not_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of older studies, nothing says what was measured."""
    first = killed(tmp_path / "a", slots=4)
    for trial, folder in enumerate(('"../../x"', "-1", "true", "3")):
        told(tmp_path / "a", trial, "words", '["+model={_target_: os.system}"]')
        told(tmp_path / "a", trial, "retry_of", folder)
    change(tmp_path / "a", "DELETE FROM study_user_attributes")
    change(tmp_path / "a", "UPDATE trial_params SET param_value = 7.0 WHERE trial_id = 4")
    study = search(second := Sweep(tmp_path / "a"))
    assert states(study) == {"FAIL": 1, "COMPLETE": 4}
    assert [job.words for job in second.jobs[:3]] == [job.words for job in first.jobs[:3]]
    assert [job.folder for job in second.jobs] == [tmp_path / "a" / str(i) for i in (0, 1, 2, 4)]
    assert caplog.messages == ["trial 3 is not run: lr=7.0 is not in interval(0.0, 1.0)"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun") / "a"
    search(Sweep(folder), n_trials=1)
    return folder


FROM = "the study chooses from interval(0.0, 1.0)"
OTHER_CHOICES = [
    ({"params": {"lr": "interval(0.0, 2.0)"}}, f"lr=interval(0.0, 2.0): {FROM}"),
    ({"params": {"x": "1,2"}, "arguments": ["lr=0.1"]}, f"lr=0.1: {FROM}"),
    ({"params": {"x": "1,2"}}, f"lr is not given: {FROM}"),
    ({"params": {"lr": "interval(0.0, 1.0)", "x": "a,b"}}, "x=a,b: the study has it fixed"),
    ({"metric": "val/f1"}, "optimized_metric=val/f1: the study is of val/acc"),
    (
        {"metric": "val/loss"},
        "hydra.sweeper.study_name=a: its direction is maximize; expected minimize",
    ),
]


@pytest.mark.parametrize(("options", "line"), OTHER_CHOICES, ids=range(len(OTHER_CHOICES)))
def test_a_study_goes_on_with_its_own_choices_alone(
    options: dict[str, Any], line: str, begun: Path
) -> None:
    other = Sweep(begun)
    other.begin = lambda: pytest.fail("words were recorded")  # type: ignore[method-assign]
    with pytest.raises(InputError) as refused:
        search(other, **options)
    assert str(refused.value).startswith(line)
    assert other.jobs == []


DIRECTIONS = [
    ("val/f1_loss", None, {}, "MINIMIZE"),
    ("val/f1", "minimize", {"monitor": "val/f1", "mode": "max"}, "MINIMIZE"),
    ("my/loss", None, {"monitor": "my/loss", "mode": "max", "dirpath": "${x.y}"}, "MAXIMIZE"),
]


def test_any_score_can_be_searched_for(tmp_path: Path) -> None:
    for number, (metric, given, best, expected) in enumerate(DIRECTIONS):
        sweep = Sweep(tmp_path / str(number))
        study = search(sweep, metric=metric, direction=given, best=best, n_trials=1)
        assert study.direction.name == expected


def test_a_password_in_plain_text_is_pointed_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", url := "postgresql+pg8000://me:hunter2@127.0.0.1:1/db")
    for storage in ("${oc.env:URL}", url):
        with pytest.raises(InputError, match=r"hydra\.sweeper\.storage=post") as refused:
            search(Sweep(tmp_path / "a"), storage)
        assert "hunter2" not in str(refused.value)
    assert caplog.messages == [
        "hydra.sweeper.storage has a password, which is not recorded; expected "
        "hydra.sweeper.storage='${oc.env:NAME}', with the address in that variable"
    ]


PASSWORDS = {
    "'postgresql+pg8000://me:hunt:er/2@host/db'": "'postgresql+pg8000://me:***@host/db'",
    "mysql://host/db?user=me&password=hunter2&ssl=1": "mysql://host/db?user=me&password=***&ssl=1",
    "postgresql://me:${oc.env:WORD}@host/db": "postgresql://me:${oc.env:WORD}@host/db",
    "sqlite:////tmp/a:b@c.db": "sqlite:////tmp/a:b@c.db",
}


def test_a_password_is_left_out_of_words_and_of_what_a_sweep_records(tmp_path: Path) -> None:
    for url, without in PASSWORDS.items():
        assert without_passwords(f"a={url}\nb={url}") == f"a={without}\nb={without}"
    word = "hydra.sweeper.storage=postgresql+pg8000://me:hunter2@host/db"
    SweepFolder(tmp_path).write([word], {"0": [word]})
    assert SweepFolder(tmp_path).words() == [word.replace("hunter2", "***")]
    assert "hunter2" not in (tmp_path / "sweep.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", SAMPLERS, ids=lambda path: path.stem)
def test_each_sampler_finds_the_better_half(path: Path, tmp_path: Path) -> None:
    options = OmegaConf.load(path)
    options.seed = 3
    study = search(Sweep(tmp_path / "a", slots=2), sampler=options, n_trials=12)
    assert type(study.sampler).__name__ == options._target_.rpartition(".")[2]
    assert states(study) == {"COMPLETE": 12}
    assert study.best_value > 1 - 0.1**2  # within 0.1 of the best


WRONG = [
    ({"metric": None}, "optimized_metric=null: expected what to search for, e.g. val/acc"),
    ({"n_trials": 0}, "hydra.sweeper.n_trials=0: expected a whole number from 1"),
    ({"direction": ["minimize", "up"]}, "hydra.sweeper.direction=['minimize', 'up']: expected min"),
    ({"storage": "nothing://x"}, "hydra.sweeper.storage=nothing:...: Can't load plugin"),
    ({"sampler": {"_target_": "optuna.samplers.TPESampler", "x": 1}}, "hydra.sweeper.sampler: T"),
    (
        {"sampler": {"_target_": "optuna.samplers.PartialFixedSampler", "fixed_params": {},
                     "base_sampler": {"_target_": "optuna.samplers.CmaEsSampler"}}},
        "hydra.sweeper.sampler: CmaEsSampler runs a pickle that it finds in the study; expected an",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "line"), WRONG, ids=range(len(WRONG)))
def test_wrong_options_are_one_line(options: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        search(Sweep(tmp_path / "a"), **options)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
