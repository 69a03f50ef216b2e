"""The command line of eval.py: model and data are those of the checkpoint's run."""

from collections.abc import Sequence

from digits.commands.resume import beside, outputs_dir
from digits.runs import rebuilding
from digits.runs.folder import RunFolder, find
from digits.runs.overrides import key, quoted, unquoted


def arguments(given: Sequence[str]) -> list[str]:
    """`given`, and before it what the run of ckpt_path recorded of its model and data; a group that
    is given anew replaces all of it. Raises InputError if there is no such file.
    """
    values = {key(word): unquoted(word.partition("=")[2]) for word in given}
    asked = values.get("ckpt_path", "")
    if asked in ("", "null", "???") or "${" in asked:
        return list(given)
    path = find(asked, str(outputs_dir(values)))
    run = RunFolder.of(path)
    recorded = rebuilding.words(run) if run else []
    now = [word for word in given if key(word) != "ckpt_path"]
    then = [word for word in recorded if not _is_replaced(key(word), set(values))]
    return beside(now, [*then, f"ckpt_path={quoted(path)}"])


def _is_replaced(name: str, given: set[str]) -> bool:
    group = name.replace("/", ".").partition(".")[0]
    return name in given or group in given
