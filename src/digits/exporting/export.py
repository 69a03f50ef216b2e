"""Export a checkpoint as a file for other programs. The file says where it comes from, and is
written only if it computes what the checkpoint does.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digits.errors import InputError
from digits.files import ROBUST, relative, write_atomically
from digits.imports import importing
from digits.runs.folder import RunFolder

SMALL = ("float16", "int8")
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
SUFFIXES |= dict.fromkeys(SMALL, ".safetensors")
KINDS = (*SUFFIXES, "web")
NEEDS: dict[str, tuple[str, ...]] = {"onnx": ("onnx", "onnxruntime", "onnxscript")}


def export(kind: str, ckpt_path: str, output: Path | None, config_dirs: Sequence[str] = ()) -> int:
    """Write a file of a kind in SUFFIXES if it computes what the checkpoint does. Return the exit
    code. Raises InputError if there is no checkpoint, `output` is unsuitable or a package is
    missing.
    """
    if Path(ckpt_path) == ROBUST:
        raise InputError(f"--ckpt robust: --format {kind} takes a checkpoint's path, or latest")
    ckpt = Path(os.path.abspath(ckpt_path))  # not `resolve`: a link's own folder counts
    target = _target(kind, ckpt, output)
    if not all(map(find_spec, NEEDS.get(kind, ()))):
        raise InputError(f"--format {kind}: needs pip install -e '.[export]'")
    with importing():
        from digits.exporting import formats, small
        from digits.prediction import loading
        from digits.runs import checkpoint

    content = checkpoint.read(ckpt_path)  # once, since a run may replace it meanwhile
    net = loading.network_of(ckpt_path, content, config_dirs)
    about = _about(ckpt, content)
    if kind in SMALL:
        agrees = small.agree(net, data := small.write(kind, net, about | small.tested(kind, net)))
    else:
        agrees = formats.agree(kind, net, data := formats.WRITE[kind](net, about))
    if not agrees:
        print("error: it differs from the checkpoint; nothing is written", file=sys.stderr)
        return 1
    write_atomically(target, data)
    print(f"{relative(target)}  {len(data) / 1e6:.1f} MB")
    return 0


def _target(kind: str, ckpt: Path, output: Path | None) -> Path:
    """Return the file to write. Its suffix must fit: a typo must not replace a checkpoint, say."""
    suffix = SUFFIXES[kind]
    if output is None:
        return beside(ckpt, "FILE") / f"digits{f'-{kind}' * (kind in SMALL)}{suffix}"
    if output.suffix.lower() != suffix or output.is_dir():
        raise InputError(f"--output {output}: expected a file whose name ends in {suffix}")
    return output


def beside(ckpt: Path, kind: str) -> Path:
    """Return the folder for a checkpoint's exports. Raises InputError if it is a link."""
    run = RunFolder.of(ckpt)
    folder = run.path / "export" if run else ckpt.parent
    if run and folder.is_symlink():  # the run's folder may come from anyone
        raise InputError(f"{folder} is a link; expected a folder, or --output {kind}")
    return folder


def _about(ckpt: Path, content: dict[str, Any]) -> dict[str, str]:
    """Return the facts that the file states about itself; unknown ones are left out."""
    with ckpt.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    about = {
        "classes": "0 1 2 3 4 5 6 7 8 9",
        "checkpoint": ckpt.name,
        "checkpoint_sha256": digest,
        "steps": str(content.get("global_step"))[:20],
    }
    sizes = content["hyper_parameters"]
    about |= {name: str(sizes[name]) for name in ("hidden_size", "filters") if name in sizes}
    for package in ("lightning-digits", "torch"):
        with suppress(metadata.PackageNotFoundError):  # the package is not installed
            about[package] = metadata.version(package)
    run = RunFolder.of(ckpt)
    if run is None:
        return about
    # in older sweeps a run's folder is only a number, so the sweep's folder is named, too
    path = run.path
    name = f"{path.parent.name}/{path.name}" if path.name.isdecimal() else path.name
    return about | {"run": name} | run.tested(ckpt)
