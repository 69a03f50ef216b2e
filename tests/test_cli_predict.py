"""predict.py as people use it."""

import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.prediction import answers
from support.commands import ROOT, Outcome, finish, process, tool
from support.drawn import large, seven, training
from support.image_files import encoded

RUN = (  # predict.py, and then more
    "import sys, runpy; sys.path.insert(0, 'src'); sys.argv[0] = 'src/predict.py'",
    "try: runpy.run_path(sys.argv[0], run_name='__main__')",
    "except SystemExit: pass",
)


@pytest.fixture(scope="module")
def ckpt(finished: Outcome) -> str:
    return str(finished.folder / "checkpoints" / "best.ckpt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four drawings, one of three digits, a blank one, a file that is none; and other things. (The
    first training image, a poor 5, is too much for a network trained so little.)
    """
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        (folder / f"{number}.png").write_bytes(encoded(255 - large(number + 1)))
    (folder / "sub").mkdir()
    (folder / "sub" / "seven.jpg").write_bytes(encoded(seven(), "JPEG"))
    row = np.hstack([255 - large(number, 200, (20, 20)) for number in (1, 2, 3)])
    (folder / "three.png").write_bytes(encoded(row))
    (folder / "blank.png").write_bytes(encoded(Image.new("L", (50, 50), 255)))
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either, but not named as one")
    (folder / "print.eps").write_text("reading one would run a program")
    (folder / "scan.PDF").write_bytes(b"%PDF-1.7")
    (folder / ".hidden.png").write_bytes(b"x")
    return folder


def test_a_folder_is_a_table_and_one_bad_file_stops_nothing(folder: Path, ckpt: str) -> None:
    code, out, err = tool("predict", str(folder), "--ckpt", ckpt)
    assert code == 2
    assert err == (
        f"{folder}: passed over 1 .eps, 1 .pdf, 1 .txt\n"
        f"error: {folder}/bad.png: not an image that Pillow reads, or damaged\n"
        "error: 1 of 8 images could not be read\n"
    )
    header, *rows = out.splitlines()
    assert header.split() == ["file", "digit", "probability", "runner-up", "note"]
    assert [Path(row.split()[0]).name for row in rows] == [
        *("0.png", "1.png", "2.png", "3.png", "blank.png", "seven.jpg", "three.png")
    ]
    digits = [int(row.split()[1]) for row in rows[:4]]
    assert digits == training()[1][1:5].tolist()
    assert rows[4].split()[1:] == ["-", "-", "-", "blank"]
    assert rows[6].endswith("3 digits; --multi reads each")
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_json_and_csv_hold_the_same(
    folder: Path, ckpt: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What can't be read stops neither, nor do folders and patterns that name no image; more than
    one batch is read.
    """
    monkeypatch.setattr(answers, "AT_ONCE", 3)
    given = [str(folder / "[0-9]*.png"), str(folder / "blank.png"), "nothere.png", str(tmp_path)]
    code, out, err = tool("predict", *given, "*.nope", "--json", "--ckpt", ckpt)
    expected = "expected a file, a folder or a pattern"
    assert (code, err) == (
        2,
        "error: nothere.png: no such file; expected an image file, a folder or a pattern\n"
        f"error: {tmp_path}: no image there; {expected}\n"
        f"error: *.nope: no image there; {expected}\n"
        "error: 3 of 8 images could not be read\n",
    )
    listed = json.loads(out)
    fields = ["path", "digit", "probability", "probabilities", "note", "box", "digits"]
    assert [list(each) for each in listed] == [fields] * 5
    assert listed[4] | {"path": ""} == {
        **dict.fromkeys(["digit", "probability", "probabilities", "box"]),
        "path": "",
        "note": "blank",
        "digits": [],
    }
    code, out, _ = tool("predict", *given[:2], "--csv", "--ckpt", ckpt)
    assert code == 0
    for each, row in zip(listed, csv.DictReader(io.StringIO(out)), strict=True):
        assert each["path"] == row["path"]
        assert str(each["digit"] if each["digit"] is not None else "") == row["digit"]
        given = [float(row[f"p{digit}"] or -1) for digit in range(10)]
        assert given == (each["probabilities"] or [-1] * 10)


def test_several_digits_have_boxes_and_can_be_read_each(folder: Path, ckpt: str) -> None:
    path = str(folder / "three.png")
    _, out, _ = tool("predict", path, "--json", "--ckpt", ckpt)
    (found,) = json.loads(out)
    assert (found["digit"], found["note"], len(found["digits"])) == (None, "3 digits", 3)
    lefts = [part["box"][0] for part in found["digits"]]
    assert lefts == sorted(lefts)
    assert lefts[0] < 200 < lefts[1] < 400 < lefts[2]
    _, out, _ = tool("predict", path, "--multi", "--json", "--top", "10", "--ckpt", ckpt)
    each = json.loads(out)
    assert [one["path"] for one in each] == [f"{path}#{number}" for number in (1, 2, 3)]
    assert [one["digit"] for one in each] == training()[1][1:4].tolist()
    assert sorted(likely["digit"] for likely in each[1]["top"]) == list(range(10))
    assert each[0]["top"][0] == {"digit": each[0]["digit"], "probability": each[0]["probability"]}


def test_what_the_model_saw_is_shown_and_saved(folder: Path, ckpt: str, tmp_path: Path) -> None:
    given = (folder / "1.png").read_bytes()
    code, out, _ = tool("predict", "-", "--show", "--ckpt", ckpt, stdin=given)
    assert (code, out.splitlines()[-1].split()[:2]) == (0, ["-", "4"])
    shown = [line for line in out.splitlines() if set(line) <= set(" ░▒▓█")]
    assert 20 <= len(shown) <= 22
    assert {len(line) for line in shown} == {56}
    saved = tmp_path / "new"
    arguments = str(folder / "1.png"), str(folder / "three.png"), "--multi", "--save", str(saved)
    assert tool("predict", *arguments, "--ckpt", ckpt)[0] == 0
    names = ["1.png", "three-1.png", "three-2.png", "three-3.png"]
    assert sorted(path.name for path in saved.iterdir()) == sorted(names)
    assert Image.open(io.BytesIO((saved / "1.png").read_bytes())).size == (28, 28)
    before = {path: path.read_bytes() for path in saved.iterdir()}
    code, _, err = tool("predict", *arguments, "--ckpt", ckpt)
    assert (code, err.count("\n")) == (2, 1)
    assert err == f"error: --save {saved}: not empty; expected a new folder\n"
    assert before == {path: path.read_bytes() for path in saved.iterdir()}


LINES = {
    "nope.png": "nope.png: no such file; expected an image file, a folder or a pattern",
    "/dev/null": "/dev/null: not a file; expected an image file",
    "x\ny": "x y: no such file; expected an image file, a folder or a pattern",
    "https://x.org/7.png?a=1": "https://x.org/7.png?a=1: an address; expected a file: curl -L ADDR",
    "docs/samples.png --ckpt nope": "--ckpt nope: no such file; expected a .ckpt file, or latest",
    "docs/samples.png --ckpt LICENSE": "--ckpt LICENSE: not a checkpoint written by train.py, or d",
    "docs/samples.png --save LICENSE": "--save LICENSE: File exists; expected a new folder",
    "docs/samples.png --csv --top 3": "--top 3: not with --csv, which has all ten probabilities",
    "docs/samples.png --top 11": "argument --top: 11: expected a whole number from 1 to 10; --help",
    "docs/samples.png --jsn": "--jsn: no such flag; did you mean --json?",
    "": "the following arguments are required: IMAGE; --help shows all",
}


@pytest.mark.parametrize("arguments", LINES)
def test_wrong_input_is_one_line(
    arguments: str, ckpt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    given = arguments.split(" ") if arguments else []
    model = [] if "--ckpt" in given else ["--ckpt", ckpt]
    code, out, err = tool("predict", *given, *model)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {LINES[arguments]}")


def test_the_shipped_network_reads_without_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The drawings of docs/, as README shows them."""
    monkeypatch.setattr("digits.commands.argparse_app.home", lambda: tmp_path)
    code, out, err = tool("predict", "docs/drawings")
    assert (code, err) == (0, "")
    read = [line.split()[1] for line in out.splitlines()[1:8]]
    assert read == ["2", "-", "4", "5", "-", "3", "8"]
    assert out.endswith("\n\nmodel robust, which reads 98.94 % of 10,000 test images\n")


def test_without_a_model_it_says_how_to_train_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("digits.commands.argparse_app.home", lambda: tmp_path)
    _, _, err = tool("predict", "docs/samples.png", "--ckpt", "latest")
    assert err == (
        f"error: --ckpt latest: no run under {tmp_path}/outputs has a checkpoint yet; "
        "python src/train.py trains one\n"
    )


def test_the_model_taken_is_named(
    ckpt: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a run that only debugs, though newer, is not taken."""
    for name in ("train/1", "debug/2"):
        (tmp_path / "outputs" / name / "checkpoints").mkdir(parents=True)
        shutil.copy(ckpt, tmp_path / "outputs" / name / "checkpoints" / "last.ckpt")
    monkeypatch.setattr("digits.commands.argparse_app.home", lambda: tmp_path)
    line = f"model {tmp_path}/outputs/train/1/checkpoints/last.ckpt\n"
    picture = str(ROOT / "docs" / "drawings" / "photo.jpg")
    code, out, err = tool("predict", picture, "--ckpt", "latest")
    assert (code, out.splitlines(keepends=True)[-2:], err) == (0, ["\n", line], "")
    code, out, err = tool("predict", picture, "--json", "--ckpt", "latest")
    assert (code, err, json.loads(out)[0]["path"]) == (0, line, picture)


@pytest.mark.slow
def test_many_files_are_read_by_several_processes(tmp_path: Path) -> None:
    for number in range(160):
        (tmp_path / f"{number:03}.png").write_bytes(encoded(training()[0][number % 60]))
    (tmp_path / "077.png").write_bytes(b"x")
    code, out, err = finish("src/predict.py", str(tmp_path), "--json")
    assert (code, err) == (
        2,
        f"error: {tmp_path}/077.png: not an image that Pillow reads, or damaged\n"
        "model robust, which reads 98.94 % of 10,000 test images\n"
        "error: 1 of 160 images could not be read\n",
    )
    listed = json.loads(out)
    assert [Path(each["path"]).stem for each in listed] == [
        f"{number:03}" for number in range(160) if number != 77
    ]
    right = [each["digit"] == training()[1][int(Path(each["path"]).stem) % 60] for each in listed]
    assert np.mean(right) > 0.85


def test_saving_loses_no_picture(ckpt: str, tmp_path: Path) -> None:
    given = [tmp_path / name for name in ("a/x.png", "b/x.png", "a/x-2.png", "noext", "p#1.png")]
    for path in given:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(seven()))
    saved = tmp_path / "saved"
    assert tool("predict", *map(str, given), "--save", str(saved), "--ckpt", ckpt)[0] == 0
    names = {path.name for path in saved.iterdir()}
    assert names == {"x.png", "x-2.png", "x-2-2.png", "noext.png", "p#1.png"}


@pytest.mark.slow
def test_output_that_nobody_reads_or_can_show_is_no_fault(folder: Path, ckpt: str) -> None:
    one, model = str(folder / "1.png"), ("--ckpt", ckpt)
    many = [one, *(f"{folder}/{'./' * n}2.png" for n in range(140))]
    read, write = os.pipe()
    os.close(read)
    with process("src/predict.py", *many, "--json", *model, stdout=write) as run:
        os.close(write)
        assert run.communicate(timeout=120)[1] == ""
        assert run.returncode == 0
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = finish("src/predict.py", one, "--show", *model, env=plain)
    assert (code, err) == (0, "")
    assert "\\u2588" in out
    closed = shlex.join([sys.executable, "src/predict.py", one, *model])
    shell = subprocess.run(f"{closed} >&-", shell=True, cwd=ROOT, capture_output=True)
    assert (shell.returncode, shell.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="sees in /proc that the others have started")
@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 1.2])
def test_ctrl_c_ends_all_processes_quietly(tmp_path: Path, delay: float) -> None:
    for number in range(1500):
        (tmp_path / f"{number}.png").write_bytes(encoded(training()[0][number % 60]))
    alone = {"start_new_session": True}  # as a terminal's: its group gets the signal
    with process("src/predict.py", str(tmp_path), **alone) as run:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        while len(children.read_text().split()) < 2:
            assert run.poll() is None
            time.sleep(0.01)
        time.sleep(delay)
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out, err) == (130, "", "")


def test_ctrl_c_ends_it_quietly(ckpt: str) -> None:
    with process("src/predict.py", "-", "--ckpt", ckpt, stdin=subprocess.PIPE) as run:
        run.stdin.write("x" * (1 << 20))  # type: ignore[union-attr]
        run.stdin.flush()  # type: ignore[union-attr]  # a pipe holds less: it is being read
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert (run.returncode, out, err) == (130, "", "")


def test_help_imports_nothing_slow() -> None:
    ends = "print({'torch', 'scipy', 'numpy', 'hydra'} & set(sys.modules), file=sys.stderr)"
    code, out, err = finish("-c", "\n".join([*RUN, ends]), "--help")
    assert (code, err) == (0, "set()\n")
    assert "examples:" in out


@pytest.mark.slow
def test_torch_is_for_models_of_ones_own(folder: Path, ckpt: str) -> None:
    pattern = str(folder / "[0-9]*.png")
    _, expected, _ = tool("predict", pattern, "--json", "--ckpt", ckpt)
    ends = "print({'torch', 'scipy', 'hydra'} & set(sys.modules), file=sys.stderr)"
    code, out, err = finish("-c", "\n".join([*RUN, ends]), pattern, "--json", "--ckpt", ckpt)
    assert (code, err) == (0, "set()\n")
    for one, other in zip(json.loads(out), json.loads(expected), strict=True):
        assert one["digit"] == other["digit"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_why_is_a_picture(folder: Path, tmp_path: Path) -> None:
    """Of each digit; a blank image has none, and three digits are explained with --multi."""
    why = tmp_path / "why"
    images = [str(folder / name) for name in ("1.png", "blank.png", "three.png")]
    code, _, err = tool("predict", *images, "--multi", "--explain", str(why))
    assert (code, err) == (0, "")
    names = ["1.png", "three-1.png", "three-2.png", "three-3.png"]
    assert sorted(path.name for path in why.iterdir()) == names
    with Image.open(why / "1.png") as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (710, 1016, 3)
    map_, units = pixels[80:304, 520:744], pixels[620:676, 24:80]
    for part in (map_, units):  # red and blue
        assert (part[..., 0] - part[..., 2]).max() > 100
        assert (part[..., 2] - part[..., 0]).max() > 100
    assert ((pixels[80:304, 272:496] < 128).mean((0, 1)) > 0.05).all()  # its ink
    page, light, ink, strokes = (pixels[350:562, x : x + 212, 0] for x in (30, 278, 526, 774))
    assert page.max() - page.min() > 100
    assert light.std() < 10
    for each in (ink, strokes):
        assert np.corrcoef(each.ravel(), abs(page - light).ravel())[0, 1] > 0.9
    for words, said in (
        ([images[0], "--explain", str(why)], f"--explain {why}: not empty; expected a new folder"),
        (
            ["-", "--explain", f"{why}2"],
            "--explain: not with -, as it shows the file, too; expected",
        ),
    ):
        code, out, err = tool("predict", *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"error: {said}")
