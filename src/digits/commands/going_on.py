"""The words of a command that goes on with a run or a sweep, or tests one, from its folder."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from digits.commands import newest
from digits.errors import InputError
from digits.files import home
from digits.imports import importing
from digits.runs import recorded
from digits.runs.contents import TARGET
from digits.runs.folder import RunFolder, newest_run
from digits.runs.recipe import DECIDES_OUTPUT
from digits.runs.words import Words, key, own, quoted
from digits.text import shown


def rewritten(command: str, words: Words) -> Words:
    """Return the command's words after those that a folder has recorded, if they name one by
    resume=, ckpt_path=latest, weights=, sweep= or eval's ckpt_path=. Other words stay as they are.

    Raises InputError if the folder is of another kind, or its words can't be taken over.
    """
    if words.asks and words.flags.cfg is None:
        return words
    if command == "eval":
        return _testing(words)
    if (asked := words.value("sweep")) not in (None, ""):
        return _sweeping(words, str(asked))
    resume, ckpt_path = words.value("resume"), words.value("ckpt_path")
    trains = words.value("train") is not False
    if resume in (None, "") and not (ckpt_path == "latest" and trains):
        return _with_weights(words) if trains and ckpt_path is None else words
    return _resuming(words, resume, ckpt_path, trains)


def _resuming(words: Words, resume: str | None, ckpt_path: str | None, trains: bool) -> Words:
    asked = f"resume={resume}" if resume is not None else "ckpt_path=latest"
    if resume is not None and ckpt_path is not None:
        raise InputError(f"{asked} ckpt_path={ckpt_path}: expected one of them")
    if weights := words.value("weights"):
        raise InputError(f"{asked} weights={shown(weights)}: expected one of them")
    if words.is_sweep:
        raise InputError(f"{asked}: goes on with one run; expected no -m or hydra.mode=MULTIRUN")
    if not trains:
        raise InputError(f"{asked} train=false: expected ckpt_path=FILE, to test it")
    is_latest = asked.endswith("=latest")
    run = newest_run(outputs_dir(words), asked) if is_latest else RunFolder(Path(str(resume)))
    run = RunFolder(run.path.absolute())
    then = _recorded(run.path, asked, recorded.words, run)
    now = words.without(("resume", "ckpt_path"))
    # without a checkpoint the run begins where it first began, perhaps at another run's checkpoint
    given = now.keys() | ({"ckpt_path"} if run.has_checkpoint() else set())
    before = _taken(then, given, run.path, f"{asked}: its run")
    where = [f"resume={quoted(run.path)}", f"hydra.run.dir={quoted(run.path)}"]
    return now.after([*where, "hydra.output_subdir=null", *before])


def _with_weights(words: Words) -> Words:
    """Return the words after those that choose the model that the weights are of, unless `model` is
    given.
    """
    asked, given = words.value("weights"), words.keys()
    if not isinstance(asked, str) or asked == "" or "${" in asked:  # or each job looks at its own
        return words
    path = newest.checkpoint(asked, str(outputs_dir(words)), "weights").absolute()
    then: list[str] = []
    if not given & {"model", TARGET, "weights_only_of"}:
        with importing():  # torch reads it
            from digits.runs import weights
        run = RunFolder.of(path)
        then = recorded.words_of_groups(run, ("model",)) if run else []
        then += recorded.words_of(weights.sizes(str(path)), "model")
    told = {key(word): word for word in then if key(word) not in given}
    kept = [told[k] for k in told if k == "model" or DECIDES_OUTPUT.fullmatch(k)]
    return words.without(("weights",)).after([*kept, f"weights={quoted(path)}"])


def _sweeping(words: Words, asked: str) -> Words:
    from digits.sweeps.sweep_folder import SweepFolder  # no other command needs it

    if not words.is_sweep:
        raise InputError(f"sweep={asked}: goes on with a sweep; expected -m too")
    folder = newest.sweep(asked, outputs_dir(words), f"sweep={asked}")
    then = _recorded(folder, f"sweep={asked}", SweepFolder.words, SweepFolder(folder))
    now = words.without(("sweep",))
    before = _taken(then, now.keys(), folder, f"sweep={asked}: it")
    return now.after([f"sweep={quoted(folder)}", f"hydra.sweep.dir={quoted(folder)}", *before])


def _testing(words: Words) -> Words:
    """Return eval's words after the recorded ones, less the groups that are given anew."""
    asked = str(words.value("ckpt_path") or "")
    if asked in ("", "???") or "${" in asked:
        return words
    path = newest.checkpoint(asked, str(outputs_dir(words)))
    run = RunFolder.of(path)
    then = recorded.words_of_groups(run, ("model", "data")) if run else []
    given = words.keys()
    groups = {name.replace("/", ".").partition(".")[0] for name in given if "." not in name}
    kept = [
        word
        for word in then
        if key(word) not in given and key(word).replace("/", ".").partition(".")[0] not in groups
    ]
    return words.without(("ckpt_path",)).after([*kept, f"ckpt_path={quoted(path)}"])


def _recorded(folder: Path, asked: str, read: Callable[[Any], list[str]], source: Any) -> list[str]:
    if "${" in str(folder):
        raise InputError(f"{asked}: expected a folder without ${{ in its name")
    try:
        told = read(source)
        recorded.check_is_plain(folder)
    except InputError as error:
        raise InputError(f"{asked}: {error}") from error
    return told


def _taken(then: list[str], given: set[str], folder: Path, who: str) -> list[str]:
    """Return the recorded words that are not given now. Raises InputError for an unsafe one."""
    before = [word for word in then if key(word) not in given]
    if again := recorded.not_taken(before, folder):
        raise InputError(
            f"{who} was started with {' '.join(again)}, which is not taken from a file; expected "
            "it to be given again"
        )
    return before


def outputs_dir(words: Words) -> Path:
    """Return paths.outputs_dir as the words set it, perhaps as ${oc.env:SCRATCH}/runs."""
    given = words.value("paths.outputs_dir") or str(home() / "outputs")
    return Path(OmegaConf.create({"dir": given}).dir)


def after_stop(cfg: DictConfig) -> str:
    """Return the line that a stopped run prints: what the user types to go on."""
    run = RunFolder(cfg.paths.output_dir)
    if not run.last.is_file():
        return "stopped; nothing was saved yet"
    hydras = HydraConfig.get()
    given = [word for word in own(hydras.overrides.task) if key(word) not in ("seed", "ckpt_path")]
    again = [shlex.quote(shown(word)) for word in recorded.not_taken(given, run.path)]
    sources = [s.path for s in hydras.runtime.config_sources if s.provider == "command-line"]
    again += [f"--config-dir={shlex.quote(folder)}" for folder in sources]
    return " ".join([f"stopped; go on with resume={shown(str(run.path))}", *again])
