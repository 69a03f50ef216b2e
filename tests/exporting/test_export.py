import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file
from torch import nn

from digits.data import idx
from digits.data.mnist import TEST
from digits.errors import InputError
from digits.exporting import export, formats, small
from digits.prediction.predictor import Network
from digits.runs import checkpoint
from digits.runs.folder import RunFolder
from support import hostile
from support.commands import EMBEDDED, ROOT, finish, tool

DOCS = (ROOT / "docs" / "export.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
ALL_KINDS = re.findall(r"^python src/export.py --format (\w+)", DOCS, flags=re.MULTILINE)
KINDS = ALL_KINDS[:3]  # those that compute the same
TABLE = r"""largest difference from the checkpoint's probabilities
batch        noise  test images
    0      0.0e\+00      0.0e\+00
    1 NUMBER NUMBER
    2 NUMBER NUMBER
    7 NUMBER NUMBER
 1000 NUMBER NUMBER
limit NUMBER NUMBER
(.*)  0.0 MB
""".replace("NUMBER", r"     \d.\de[-+]\d\d")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, with a small network."""
    folder = tmp_path_factory.mktemp("export") / "2026-01-02_03-04-05-000006"
    (folder / "checkpoints").mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        content = hostile.content(global_step=60)
    best = folder / "checkpoints" / "best.ckpt"
    best.write_bytes(hostile.saved(content))
    (folder / "metrics.json").write_text(metrics(ckpt_path=str(best)))
    return folder


def metrics(**changes: Any) -> str:
    known = {"ckpt_path": "/elsewhere/a/checkpoints/x.ckpt", "test/acc": 0.5, "test/images": 10.0}
    return json.dumps(known | changes)


@pytest.fixture(scope="module")
def ckpt(run: Path) -> str:
    return str(run / "checkpoints" / "best.ckpt")


@pytest.fixture(scope="module")
def said(ckpt: str) -> tuple[int, str, str]:
    """By the command, as it exports to ONNX."""
    return tool("export", "--format", "onnx", "--ckpt", ckpt)


@pytest.fixture(scope="module")
def exported(run: Path, ckpt: str, said: tuple[int, str, str]) -> dict[str, Path]:
    for kind in ("torch", "safetensors"):
        assert export.export(kind, ckpt, None) == 0
    return {kind: run / "export" / f"digits{export.SUFFIXES[kind]}" for kind in KINDS}


def about(path: Path) -> dict[str, str]:
    if path.suffix == ".onnx":
        import onnx

        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    if path.suffix == ".pt2":
        extra_files = {"metadata.json": ""}
        torch.export.load(path, extra_files=extra_files)
        return json.loads(extra_files["metadata.json"])
    with safe_open(path, "np") as file:
        return file.metadata()


def test_the_command_says_how_exact_the_file_is_and_where(
    said: tuple[int, str, str], run: Path
) -> None:
    assert list(export.KINDS) == ALL_KINDS
    code, out, err = said
    assert (code, err) == (0, "")
    table = re.fullmatch(TABLE, out)
    assert table, out
    assert table[1] == str(run / "export" / "digits.onnx")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_checkpoint_s_answers(
    kind: str, exported: dict[str, Path], ckpt: str
) -> None:
    images_NHW, _ = idx.read(EMBEDDED, TEST)
    net = checkpoint.network_of(ckpt, checkpoint.read(ckpt))
    with torch.inference_mode():
        expected_NK = net(images_NHW.float() / 255).softmax(1)
    read = formats.READ[kind](exported[kind].read_bytes(), net)
    p_NK = torch.from_numpy(read(images_NHW.numpy()))
    assert (p_NK - expected_NK).abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_says_what_it_is(kind: str, exported: dict[str, Path], ckpt: str) -> None:
    said = about(exported[kind])
    said.pop("lightning-digits", None)  # absent where it was not installed
    assert said.pop("torch") == metadata.version("torch")
    assert "MNIST" in said.pop("input")
    assert "(N, 10)" in said.pop("output")
    said.pop("layers", None)
    assert said == {
        "classes": "0 1 2 3 4 5 6 7 8 9",
        "checkpoint": "best.ckpt",
        "checkpoint_sha256": hashlib.sha256(Path(ckpt).read_bytes()).hexdigest(),
        "hidden_size": "8",
        "steps": "60",
        "run": "2026-01-02_03-04-05-000006",
        "test_accuracy": "0.5",
        "test_images": "10",
    }
    data = exported[kind].read_bytes()
    for folder in (ROOT, Path(torch.__file__).parents[1], exported[kind].parents[1]):
        assert bytes(folder) not in data


def test_the_weights_are_the_checkpoint_s_bit_for_bit(exported: dict[str, Path], ckpt: str) -> None:
    weights = load_file(exported["safetensors"])
    expected = checkpoint.read(ckpt)["state_dict"]
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("kind", "size"), [("float16", 14_000), ("int8", 8_500)])
def test_a_small_file_has_weights_to_compute_with(
    kind: str, size: int, run: Path, ckpt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numpy is enough. The network has 6,362 weights; an int8 one is off by half a step at most.
    It is untrained, so that more of its answers change than of a trained one's.
    """
    monkeypatch.setattr(small, "MOST_CHANGED", 0.02)
    code, out, err = tool("export", "--format", kind, "--ckpt", ckpt)
    assert (code, err) == (0, "")
    told = r"answers that change +\d+ of 10,000 test images\ntest accuracy +(0\.\d{4}), before \1"
    assert re.match(told if kind == "float16" else told.replace(r"\1", r"0\.\d{4}"), out), out
    path = run / "export" / f"digits-{kind}.safetensors"
    assert out.endswith(f"{path}  0.0 MB\n")
    assert path.stat().st_size < size
    with safe_open(path, "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        accuracy = float(file.metadata()["test_accuracy"])  # of what is in it, not of the run
        assert f"test accuracy           {accuracy:.4f}, before" in out
        assert kind in file.metadata()["weights"]
    for name, weight in checkpoint.read(ckpt)["state_dict"].items():
        scale = found.get(f"{name}.scale")
        off = found[name].astype(float) * (1 if scale is None else scale[:, None]) - weight.numpy()
        step = 1e-3 * abs(weight.numpy()) if kind == "float16" else 0.0
        step = scale[:, None] * 0.51 if scale is not None else step + 1e-7
        assert (abs(off) <= step).all()
    assert found["net.1.weight"].dtype == kind


def test_an_int8_weight_has_the_scale_of_its_row() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, (1, 2)), nn.BatchNorm2d(3), nn.Module())
    net[2].scale = nn.Parameter(torch.rand(2))  # somebody's own weight has such a name
    rows = torch.tensor([[1.0, -127.0], [0.0, 0.0], [0.5, 0.26]])
    net.load_state_dict(net.state_dict() | {"0.weight": rows.view(3, 1, 1, 2)})
    data = small.write("int8", net, {})
    assert load(data)["net.0.weight"].flatten(1).tolist() == [[1, -127], [0, 0], [127, 66]]
    assert load(data)["net.0.weight.scale"].tolist() == pytest.approx([1, 0, 0.5 / 127])
    again = small.unpacked(data, net).state_dict()
    assert torch.allclose(again["0.weight"].view(3, 2), rows, atol=0.5 / 127 / 2)
    net[1].num_batches_tracked += 70_000  # more than a float16 holds
    assert load(small.write("float16", net, {}))["net.1.num_batches_tracked"] == 70_000


def test_a_small_file_that_changes_many_answers_is_not_written(ckpt: str, run: Path) -> None:
    path = run / "x.safetensors"
    assert export.export("int8", ckpt, path) == 1
    assert not path.exists()


SAME = r"\[(\d)( \1){6}\] 0 1 2 3 4 5 6 7 8 9\n"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=KINDS)
def test_the_documentation_s_programs_run(
    snippet: str,
    exported: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(exported["onnx"].parent)
    exec(snippet, {})
    assert re.fullmatch(SAME, capsys.readouterr().out)


@pytest.mark.slow
def test_all_is_quiet_outside_the_repository(ckpt: str, tmp_path: Path) -> None:
    """The command, and a program with what a user has."""
    command = ("src/export.py", "--format", "torch", "--ckpt", ckpt)
    code, _, err = finish("-W", "error", *command, "--output", str(tmp_path / "digits.pt2"))
    assert (code, err) == (0, "")
    code, out, err = finish("-I", "-W", "error", "-c", SNIPPETS[1], cwd=tmp_path)
    assert (code, err) == (0, "")
    assert re.fullmatch(SAME, out)


def test_a_file_that_computes_something_else_is_not_written(
    ckpt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = formats.WRITE["safetensors"]

    def drifting(net: torch.nn.Sequential, about: dict[str, str]) -> bytes:
        last = torch.nn.Linear(8, 10)
        last.load_state_dict({name: p * 1.001 for name, p in net[3].state_dict().items()})
        return write(torch.nn.Sequential(*net[:3], last), about)

    monkeypatch.setitem(formats.WRITE, "safetensors", drifting)
    (tmp_path / "old.safetensors").write_bytes(b"before")
    assert export.export("safetensors", ckpt, tmp_path / "old.safetensors") == 1
    said = capsys.readouterr()
    assert said.err == "error: it differs from the checkpoint; nothing is written\n"
    assert "MB" not in said.out
    assert (tmp_path / "old.safetensors").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["old.safetensors"]


def test_a_file_that_differs_for_one_size_of_batch_is_not_written(
    ckpt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = formats.READ["safetensors"]

    def wrong_for(size: int) -> Callable[[bytes, nn.Module], Network]:
        def reads(data: bytes, net: nn.Module) -> Network:
            network = read(data, net)
            return lambda images: network(images) + (0.1 if len(images) == size else 0)

        return reads

    for size in (1, 2, 7, 1000):
        monkeypatch.setitem(formats.READ, "safetensors", wrong_for(size))
        assert export.export("safetensors", ckpt, tmp_path / "x.safetensors") == 1, size
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["last.ckpt", "digits.onnx", "digits", "folder.pt2"])
def test_another_kind_of_file_is_never_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(InputError, match=rf"--output .*/{name}: expected .* ends in \.pt2$"):
        export.export("torch", "last.ckpt", tmp_path / name)


def test_a_checkpoint_elsewhere_has_its_export_beside_it(ckpt: str, tmp_path: Path) -> None:
    shutil.copy2(ckpt, tmp_path / "mine.ckpt")
    assert export.export("safetensors", str(tmp_path / "mine.ckpt"), None) == 0
    said = about(tmp_path / "digits.safetensors")
    assert said["checkpoint"] == "mine.ckpt"
    assert said.keys().isdisjoint({"run", "test_accuracy", "test_images"})  # nobody knows


class Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(28, 4, batch_first=True)
        self.head = nn.Linear(4, 10)

    def forward(self, x_BHW: torch.Tensor) -> torch.Tensor:
        return self.head(self.rows(x_BHW)[0][:, -1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_recurrent_network_is_exported(capsys: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime would end the process at a batch of 0."""
    net = Rows().eval()
    assert formats.agree("onnx", net, formats.WRITE["onnx"](net, {}))
    table = capsys.readouterr().out.partition("largest")[2]
    sizes = [line.split()[0] for line in table.splitlines()[2:]]
    assert sizes == ["1", "2", "7", "1000", "limit"]


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^--format onnx: needs pip install -e '.\[export\]'$"):
        export.export("onnx", "x.ckpt", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (metrics(), {"test_accuracy": "0.5", "test_images": "10"}),
        (metrics(ckpt_path="/elsewhere/a/checkpoints/other.ckpt"), {}),
        (metrics(ckpt_path=None), {}),
        (metrics(**{"test/acc": "high"}), {}),
        (metrics()[:-5], {}),
    ],
    ids=range(5),
)
def test_the_accuracy_is_this_checkpoint_s_or_none(
    text: str, expected: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "a" / "checkpoints" / "x.ckpt"
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "a" / "metrics.json").write_text(text)
    assert RunFolder(tmp_path / "a").tested(path) == expected
    os.utime(path)  # trained on since
    os.utime(tmp_path / "a" / "metrics.json", (0, 0))
    assert RunFolder(tmp_path / "a").tested(path) == {}
