"""The command line of a sweep that goes on, and what a stopped sweep says of it."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from digits.commands import flags
from digits.commands.resume import beside, outputs_dir
from digits.errors import InputError, shown
from digits.files import called, relative
from digits.runs import overrides
from digits.runs.overrides import OF_THE_FOLDER, key, quoted, unquoted
from digits.sweeps.folder import NAME, SweepFolder

_GLOB = r"(?!hydra)[a-z_]+(/[a-z_]+)?=glob\([\w*?]*\)"
_OF_HYDRA = re.compile(
    r"hydra/(launcher|sweeper)(/\w+)?=\w+"
    r"|hydra\.(launcher|sweeper)\.(jobs|n_trials|n_jobs|max_batch_size|direction|seed"
    r"|sampler\.[a-z]\w*|pruner\.[a-z]\w*)=[\w.+-]*"
)


def arguments(given: Sequence[str]) -> list[str]:
    """The command line of a sweep that goes on, `given` sweep=FOLDER or sweep=latest: what it was
    started with, what is given now, and its folder. Any other command line as it is.

    Raises InputError if that is no sweep's folder, or its words can't be taken over.
    """
    values = {key(word): unquoted(word.partition("=")[2]) for word in given}
    asked = values.get("sweep", "null")
    if asked in ("null", ""):
        return list(given)
    if not flags.of_hydra(given).multirun and values.get("hydra.mode") != "MULTIRUN":
        raise InputError(f"sweep={asked}: goes on with a sweep; expected -m too")
    folder = find(asked, outputs_dir(values), f"sweep={asked}")
    sweep = SweepFolder(folder)
    if "${" in str(folder):
        raise InputError(f"sweep={asked}: expected a folder without ${{ in its name")
    try:
        words = sweep.words()
        overrides.check_is_plain(folder)
    except InputError as error:
        raise InputError(f"sweep={asked}: {error}") from error
    now = [word for word in given if key(word) != "sweep"]
    given_now = {key(word) for word in now}
    before = [word for word in words if key(word) not in given_now]
    if again := not_taken(before, folder):
        raise InputError(
            f"sweep={asked}: it was started with {' '.join(again)}, which is not taken from a "
            "file; expected it to be given again"
        )
    where = [f"sweep={quoted(folder)}", f"hydra.sweep.dir={quoted(folder)}"]
    return beside(now, [*where, *before])


def of_the_sweep(given: Sequence[str]) -> list[str]:
    """What is worth keeping of a sweep's command line: not its flags and its folder."""
    words = flags.of_hydra(given).overrides
    return [word for word in words if key(word) not in OF_THE_FOLDER]


def flags_for_jobs(given: Sequence[str]) -> list[str]:
    parsed = flags.of_hydra(given)
    names = ("config_dir", "config_name", "config_path")
    return [
        f"--{name.replace('_', '-')}={value}" for name in names if (value := getattr(parsed, name))
    ]


def not_taken(words: Sequence[str], folder: Path) -> list[str]:
    """Those that could do harm, since anyone may have put them into `folder`."""
    return [word for word in words if not _is_taken(word, folder)]


def how_to_go_on(sweep: SweepFolder, words: Sequence[str], given: Sequence[str]) -> str:
    """What to type. `words` are the sweep's own, `given` the whole command line."""
    again = [shlex.quote(shown(word)) for word in not_taken(words, sweep.path)]
    config_dir = flags.of_hydra(given).config_dir
    again += [f"--config-dir={shlex.quote(config_dir)}"] if config_dir else []
    where = shlex.quote(shown(relative(sweep.path)))
    return " ".join([f"stopped; go on with {called('train')} -m sweep={where}", *again])


def find(asked: str, outputs: Path, given: str) -> Path:
    """The folder `asked` for, or the newest sweep's. Raises InputError, for what was `given`, where
    there is none.
    """
    if asked != "latest":
        return Path(asked).absolute()
    newest = max(outputs.glob(f"*/*/{NAME}"), key=_modified, default=None)
    if newest is None:
        raise InputError(f"{given}: no sweep under {outputs} yet; {called('train')} -m starts one")
    return newest.parent


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


def _is_taken(word: str, folder: Path) -> bool:
    if _OF_HYDRA.fullmatch(word) or re.fullmatch(_GLOB, word):
        return True
    try:
        override = OverridesParser.create().parse_override(word)
        each = list(_each(override))
    except HydraException:
        return False
    return bool(each) and not overrides.not_taken(each, folder)


def _each(override: Override) -> Iterator[str]:
    """A word for each value of a sweep, and for the ends of an interval."""
    name = override.input_line.partition("=")[0] if override.input_line else ""
    value = override.value()
    if isinstance(value, IntervalSweep | RangeSweep):
        ends = (value.start, value.end) if isinstance(value, IntervalSweep) else (
            value.start, value.stop, value.step
        )  # fmt: skip
        yield from (f"{name}={end}" for end in ends)
    elif isinstance(value, ChoiceSweep):
        yield from (f"{name}={text}" for text in override.sweep_string_iterator())
    else:
        yield override.input_line or ""
