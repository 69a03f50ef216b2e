"""What makes an ONNX file harmful, or another network's. Each changes a good model in place."""

import numpy as np
from onnx import ModelProto, TensorProto


def external(model: ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")


def a_product_with_itself(model: ModelProto) -> None:
    model.graph.node[5].input[1] = model.graph.node[5].input[0]


def a_huge_weight(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def no_output(model: ModelProto) -> None:
    del model.graph.node[1].output[:]


def of_floats(model: ModelProto) -> None:
    del model.graph.value_info[:]
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def of_32_pixels(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 32


def of_logits(model: ModelProto) -> None:
    del model.graph.node[6]
    model.graph.output[0].name = model.graph.node[5].output[0]


def of_nothing(model: ModelProto) -> None:
    (weight,) = (each for each in model.graph.initializer if each.name == "net.3.weight")
    weight.raw_data = np.full(80, np.nan, np.float32).tobytes()
