"""A trained network as one file for other programs: `python src/export.py --format onnx`."""

import argparse
from pathlib import Path
from typing import NoReturn

from digits import export, tool


def task(arguments: argparse.Namespace) -> int:
    ckpt_path = tool.checkpoint_path(arguments.ckpt)
    return export.export(arguments.format, ckpt_path, arguments.output)


def main() -> NoReturn:
    parser = tool.Parser(description=__doc__)
    parser.add_argument(
        "--format",
        required=True,
        choices=export.SUFFIXES,
        help="onnx and torch (torch.export) hold the whole computation, safetensors the weights",
    )
    tool.add_ckpt(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="what to write; default: export/digits.onnx, .pt2 or .safetensors in the run's folder",
    )
    tool.run(parser, task)


if __name__ == "__main__":
    main()
