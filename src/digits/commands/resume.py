"""The command line of a run that goes on in its own folder, and what a stopped run says of it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from digits.commands import flags
from digits.errors import InputError, shown
from digits.files import home
from digits.runs import overrides
from digits.runs.folder import RunFolder, latest
from digits.runs.overrides import key, quoted, unquoted


def arguments(given: Sequence[str]) -> list[str]:
    """The command line of a run that goes on in its folder, `given` resume=FOLDER, resume=latest or
    ckpt_path=latest: what it was started with, what is given now, and its folder. Any other command
    line as it is.

    Raises InputError if that is no run's folder, or its settings can't be taken over.
    """
    values = {key(word): unquoted(word.partition("=")[2]) for word in given}
    resume, ckpt_path = (values.get(name, "null") for name in ("resume", "ckpt_path"))
    trains = values.get("train", "true").lower() != "false"
    if resume in ("null", "") and not (ckpt_path == "latest" and trains):
        return list(given)
    asked = f"resume={resume}" if resume != "null" else "ckpt_path=latest"
    if resume != "null" and ckpt_path != "null":
        raise InputError(f"{asked} ckpt_path={ckpt_path}: expected one of them")
    if flags.of_hydra(given).multirun or values.get("hydra.mode", "RUN") != "RUN":
        raise InputError(f"{asked}: goes on with one run; expected no -m or hydra.mode=MULTIRUN")
    if not trains:
        raise InputError(f"{asked} train=false: expected ckpt_path=FILE, to test it")
    folder = Path(resume)
    if asked.endswith("=latest"):
        folder = latest(outputs_dir(values), asked).path
    return _going_on(RunFolder(folder.absolute()), asked, given)


def _going_on(run: RunFolder, asked: str, given: Sequence[str]) -> list[str]:
    if "${" in str(run.path):
        raise InputError(f"{asked}: expected a folder without ${{ in its name")
    now = [word for word in given if key(word) not in ("resume", "ckpt_path")]
    given_now = {key(word) for word in now}
    if run.has_checkpoint():  # else it begins where it began: perhaps at another run's checkpoint
        given_now.add("ckpt_path")
    try:
        before = [word for word in overrides.read(run) if key(word) not in given_now]
        overrides.check_is_plain(run.path)
    except InputError as error:
        raise InputError(f"{asked}: {error}") from error
    if again := overrides.not_taken(before, run.path):
        raise InputError(
            f"{asked}: its run was started with {' '.join(again)}, which is not taken from a file; "
            "expected it to be given again"
        )
    where = [f"resume={quoted(run.path)}", f"hydra.run.dir={quoted(run.path)}"]
    then = [*where, "hydra.output_subdir=null", *before]
    return beside(now, then)


def beside(now: Sequence[str], then: Sequence[str]) -> list[str]:
    """Both, with the flags of `now` at one end: argparse wants all words side by side."""
    begins_with_flags = bool(now) and now[0].startswith("-")
    return [*now, *then] if begins_with_flags else [*then, *now]


def outputs_dir(values: Mapping[str, str]) -> Path:
    """Of the settings given, which may compute it: ${oc.env:SCRATCH}/runs."""
    given = values.get("paths.outputs_dir", str(home() / "outputs"))
    return Path(OmegaConf.create({"dir": given}).dir)


def how_to_go_on(cfg: DictConfig) -> str:
    """What a run that was stopped says: what to type."""
    run = RunFolder(cfg.paths.output_dir)
    if not run.last.is_file():
        return "stopped; nothing was saved yet"
    again = overrides.not_taken(overrides.given(), run.path)
    words = [shlex.quote(shown(word)) for word in again if key(word) != "ckpt_path"]
    words += [f"--config-dir={shlex.quote(folder)}" for folder in _config_dirs()]
    return " ".join([f"stopped; go on with resume={shown(str(run.path))}", *words])


def _config_dirs() -> list[str]:
    """Of the user's own configs, as they were given."""
    sources = HydraConfig.get().runtime.config_sources
    return [source.path for source in sources if source.provider == "command-line"]
