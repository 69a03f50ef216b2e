"""Read the digits in images: `python src/predict.py photo.jpg scans/`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from digits.commands import argparse_app
from digits.errors import INPUT_IS_WRONG, InputError
from digits.files import called
from digits.imports import importing

if TYPE_CHECKING:
    from digits.prediction.answers import Answer
    from digits.prediction.network import Weights

EXAMPLES = """\
examples:
  {0} photo.jpg drawings/ 'scans/*.png'
  {0} --multi --show postcode.png
  cat seven.png | {0} - --json
"""


def task(arguments: argparse.Namespace) -> int:
    from digits.prediction import inputs

    if arguments.csv and arguments.top:
        raise InputError(f"--top {arguments.top}: not with --csv, which has all ten probabilities")
    paths = inputs.named(arguments.images)
    ckpt = argparse_app.checkpoint_path(arguments.ckpt)
    if arguments.save is not None:
        check_folder("--save", Path(arguments.save))
    if arguments.explain is not None:
        check_folder("--explain", Path(arguments.explain))
        if inputs.STDIN in paths:
            raise InputError("--explain: not with -, as it shows the file, too; expected files")
    with inputs.reading(paths) as drawings:
        with importing():  # other processes read the images meanwhile
            from digits.prediction import answers, loading

            model = loading.from_file(ckpt, arguments.config_dir)
        if arguments.explain is not None and model.weights is None:
            raise InputError("--explain: expected a network of one hidden layer, as train.py's")
        found, failed = answers.of(drawings, len(paths), model, arguments.multi)
    is_named = arguments.ckpt not in ("latest", "robust")
    chosen = [] if is_named else [f"model {loading.described(ckpt)}"]
    _tell(found, arguments, chosen)
    if arguments.save is not None:
        answers.save(found, Path(arguments.save))
    if arguments.explain is not None and model.weights is not None:
        explain(found, model.weights, Path(arguments.explain))
    if failed and len(paths) > 1:
        print(f"error: {failed} of {len(paths)} images could not be read", file=sys.stderr)
    return INPUT_IS_WRONG if failed else 0


def check_folder(option: str, folder: Path) -> None:
    """Raises InputError if `--save` or `--explain` would overwrite files, or cannot write."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"{option} {folder}: {error.strerror}; expected a new folder") from error
    if taken:
        raise InputError(f"{option} {folder}: not empty; expected a new folder")


def explain(found: "list[Answer]", weights: "Weights", folder: Path) -> None:
    """Write why each digit was read, as PNGs named after the files."""
    import numpy as np

    from digits.images import decode
    from digits.inspection import explained, figures
    from digits.prediction import answers, explanation, reading

    for each in found:
        read = each.prediction
        if read.digit is None or read.seen is None:
            continue  # blank, or several digits
        data = Path(each.file).read_bytes()
        photo, size = decode.upright(data, decode.MAX_PIXELS, None, 640)
        why = explanation.of(weights, read.seen, read.digit)
        picture = explained.picture(
            Path(each.path).name,
            (why.digit, why.instead_of),
            explained.framed(photo, [side * photo.width / size[0] for side in read.box or ()]),
            reading.read(data, layers=True).layers,
            read.seen,
            read.probabilities or (),
            np.array(why.pixels, np.float32),
            why.bias,
            {unit.unit: (unit.share, weights.first_HP[unit.unit]) for unit in why.units},
        )
        answers.free(folder, each).write_bytes(figures.png(picture))


def _tell(found: "list[Answer]", arguments: argparse.Namespace, chosen: list[str]) -> None:
    """Print the answers. `chosen` has a line that names the model, if the user named none."""
    from digits.prediction import answers

    if arguments.json or arguments.csv:  # a program reads stdout
        for line in chosen:
            print(line, file=sys.stderr)
        print(answers.as_json(found, arguments.top) if arguments.json else answers.as_csv(found))
    elif found:
        if arguments.show:
            print(answers.pictures(found))
        print(answers.table(found, arguments.top), *chosen, sep="\n\n")


def main() -> NoReturn:
    parser = argparse_app.Parser(
        prog="predict.py",
        description="Read the digit (0 to 9) in each image: photos, scans, drawings, screenshots.",
        epilog=EXAMPLES.format(called("predict")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder, pattern, or -")
    argparse_app.add_ckpt(parser, default="robust")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a list of objects")
    form.add_argument("--csv", action="store_true", help="a line for each, all ten probabilities")
    form.add_argument("--show", action="store_true", help="print what the model saw, too")
    top = argparse_app.whole_number(1, 10, "a whole number from 1 to 10")
    parser.add_argument("--top", type=top, default=0, metavar="N", help="the N likeliest digits")
    parser.add_argument("--multi", action="store_true", help="read each of several digits")
    argparse_app.add_config_dir(parser)
    parser.add_argument("--save", metavar="DIR", help="write what the model saw, as PNGs")
    why = "write why each is this digit and not the next likeliest, as PNGs"
    parser.add_argument("--explain", metavar="DIR", help=why)
    argparse_app.run(parser, task)


if __name__ == "__main__":
    main()
