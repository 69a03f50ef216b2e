"""A checkpoint as a file for other programs, which is written only if it computes the same."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from digits.errors import InputError
from digits.exporting import provenance
from digits.files import relative, write_atomically
from digits.imports import importing
from digits.runs.folder import RunFolder

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
NEEDS = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "safetensors": ("safetensors",)}


def export(kind: str, ckpt_path: str, output: Path | None, config_dirs: Sequence[str] = ()) -> int:
    """Write one of SUFFIXES if it computes what the checkpoint does. Gives the exit code.

    Raises InputError if there is no checkpoint, `output` is unsuitable or a package is missing.
    """
    ckpt = Path(os.path.abspath(ckpt_path))  # not `resolve`: a link's own name is meant
    target = _target(kind, ckpt, output)
    if not all(map(find_spec, NEEDS.get(kind, ()))):
        raise InputError(f"--format {kind}: needs pip install -e '.[export]'")
    with importing():
        from digits.exporting import formats, parity
        from digits.prediction import digit_network
        from digits.runs import checkpoint

    content = checkpoint.read(ckpt_path)  # once: a run that goes on replaces its checkpoints
    net = digit_network.of(ckpt_path, content, config_dirs)
    about = provenance.of_checkpoint(ckpt, content) | provenance.of_packages()
    data = formats.WRITE[kind](net, about)
    if not parity.shown(net, formats.READ[kind](data, net)):
        print("error: it differs from the checkpoint; nothing is written", file=sys.stderr)
        return 1
    write_atomically(target, data)
    print(f"{relative(target)}  {len(data) / 1e6:.1f} MB")
    return 0


def _target(kind: str, ckpt: Path, output: Path | None) -> Path:
    """The suffix must fit: a slip must not replace a checkpoint, or a file of another kind."""
    suffix = SUFFIXES[kind]
    if output is None:
        run = RunFolder.of(ckpt)
        folder = run.path / "export" if run else ckpt.parent
        if run and folder.is_symlink():  # the run's folder may come from anyone
            raise InputError(f"{folder} is a link; expected a folder, or --output FILE")
        return folder / f"digits{suffix}"
    if output.suffix.lower() != suffix or output.is_dir():
        raise InputError(f"--output {output}: expected a file whose name ends in {suffix}")
    return output
