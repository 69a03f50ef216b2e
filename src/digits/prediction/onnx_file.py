"""Predicting with ONNX Runtime from an ONNX file that export.py wrote.

The file may come from anyone. Only the seven operators that export.py writes are run, in a row, on
constants inside the file: nothing in it can read another file, loop, or grow without bounds (the
worst file of our tests took 460 MB, and was then refused).
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.data.mnist import CLASSES, SIDE
from digits.errors import InputError
from digits.prediction.predictor import Network
from digits.text import flat

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto
    from onnxruntime import InferenceSession, NodeArg

MAX_BYTES = 1 << 28  # hidden_size=65536 has 208 MB
MAX_DIMENSION = 1 << 16
OPERATORS = ["Reshape", "Cast", "Div", "Gemm", "Relu", "Gemm", "Softmax"]
DAMAGED = "not an ONNX file, or damaged"


class Port(NamedTuple):
    """What goes into a model or comes out."""

    name: str
    kind: str
    shape: list[int | str | None]

    def __str__(self) -> str:
        return flat(f"{self.kind} {self.shape}")[:100]


def network_from(path: str) -> Network:
    """Raises InputError, naming `--onnx`, if `path` is not a file written by export.py."""
    try:
        return network(_content(Path(path)))
    except InputError as error:
        raise InputError(f"--onnx {path}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError("a folder; expected a file written by export.py")
        if not path.is_file():
            raise InputError("no such file; python src/export.py --format onnx writes one")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{error.strerror}; expected a readable file") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"expected at most {MAX_BYTES} bytes")
    return data


def network(data: bytes, is_trusted: bool = False) -> Network:
    """Any operators are run if the file `is_trusted`, being just made. Raises InputError, without a
    file's name.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise InputError("needs pip install -e '.[export]'") from error
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's, of which onnx re-exports none
        raise InputError(DAMAGED) from error
    if not is_trusted:
        _check(model)
    try:
        session, given, made = _session(model)
    except Exception as error:  # a dozen kinds
        raise InputError(f"{DAMAGED} ({flat(str(error))[:200]})") from error
    _check_ports(given, made)

    def run(images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        p_NK: NDArray[np.float32] = session.run([made.name], {given.name: images_NHW})[0]
        return p_NK

    _try_out(run)
    return run


def _session(model: "ModelProto") -> tuple["InferenceSession", Port, Port]:
    """From the checked model, not the file: two readers may understand a file differently."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 4  # it would tell stderr what it raises
    options.intra_op_num_threads = 1  # 10,000 images take 0.06 s; two threads are no faster
    session = InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # which prints
    )
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    return session, _port(given), _port(made)


def _check(model: "ModelProto") -> None:
    """Raises InputError for a model that may not be run."""
    graph = model.graph
    operators = [str(node.op_type) for node in graph.node]  # bytes where they are not UTF-8
    if not operators:
        raise InputError(DAMAGED)
    if operators != OPERATORS:
        shown = flat(", ".join(operators))[:100]
        raise InputError(f"another network: {shown}; expected {', '.join(OPERATORS)}")
    if not (_is_chain(graph) and _is_plain(model) and all(map(_is_inside, graph.initializer))):
        raise InputError("another network; expected one that export.py wrote")


def _is_chain(graph: "GraphProto") -> bool:
    """Whether each operator takes what the last one gave, and constants."""
    constants = {tensor.name for tensor in graph.initializer}
    (given, *others) = [value.name for value in graph.input] or [""]
    for node in graph.node:
        first, *rest = list(node.input) or [""]
        if first != given or not constants.issuperset(rest) or len(node.output) != 1:
            return False
        given = node.output[0]
    return not others and [value.name for value in graph.output] == [given]


def _is_plain(model: "ModelProto") -> bool:
    """Whether its operators are ONNX's own, set by numbers."""
    from onnx import AttributeProto

    graph = model.graph
    numbers = (AttributeProto.INT, AttributeProto.FLOAT)
    return not (
        model.functions
        or model.training_info
        or graph.sparse_initializer
        or any(node.domain for node in graph.node)
        or any(part.type not in numbers for node in graph.node for part in node.attribute)
    )


def _is_inside(tensor: "TensorProto") -> bool:
    """Whether a constant's values are in the file, and no more than a weight can have."""
    return (
        tensor.data_location != tensor.EXTERNAL
        and not tensor.external_data
        and len(tensor.dims) <= 2
        and all(size <= MAX_DIMENSION for size in tensor.dims)
    )


def _port(value: "NodeArg") -> Port:
    return Port(value.name, value.type, value.shape)


def _check_ports(given: Port, made: Port) -> None:
    """Raises InputError unless a model takes and gives what a Network does."""
    if (given.kind, given.shape[1:]) != ("tensor(uint8)", [SIDE, SIDE]):
        raise InputError(f"takes {given}; expected tensor(uint8) [N, {SIDE}, {SIDE}]")
    if not isinstance(given.shape[0], str):
        raise InputError(f"takes {given.shape[0]} images at a time; expected any number")
    if (made.kind, made.shape[1:]) != ("tensor(float)", [CLASSES]):
        raise InputError(f"gives {made}; expected tensor(float) [N, {CLASSES}]")


def _try_out(run: Network) -> None:
    """On a black image and a white one. Raises InputError."""
    images_NHW = np.zeros((2, SIDE, SIDE), np.uint8)
    images_NHW[1] = 255
    try:
        p_NK = run(images_NHW)
    except Exception as error:  # a dozen kinds
        raise InputError(f"cannot be run ({flat(str(error))[:200]})") from error
    if p_NK.shape != (2, CLASSES) or not np.allclose(p_NK.sum(1), 1, atol=1e-5):
        raise InputError("gives no probabilities")
