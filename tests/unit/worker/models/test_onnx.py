"""ONNX files of dense networks: what is read computes what the file says; what is not understood is refused by name."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from jobs.errors import UnsafeModel, UnsupportedModel
from jobs.schemas import Manifest
from worker.models import inspect_upload, load
from worker.models.onnx import dense_network
from worker.models.onnx.file import MOST_NODES

CPU = torch.device("cpu")
MANIFEST = Manifest.model_validate({"architecture": {"family": "onnx"}})
ROUNDING = 1e-5  # two implementations of float32 sum in another order
RANDOM = np.random.default_rng(0)


def constant(name, *shape, low=-1.0, high=1.0):
    return numpy_helper.from_array(RANDOM.uniform(low, high, shape).astype(np.float32), name)


W, V = constant("W", 4, 6), constant("V", 6, 2)


def file_of(nodes, constants=(), *, inputs=(("x", ("batch", 4)),), outputs=("y",)):
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        list(constants),
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


def node(operator, takes, gives, **attributes):
    return helper.make_node(operator, takes, [gives], name=f"{operator} {gives}", **attributes)


def opened(tmp_path, data, manifest=MANIFEST):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    return inspect_upload(manifest, path, device=CPU)


def assert_computes_the_same(tmp_path, data, width=4):
    upload = opened(tmp_path, data)
    module = load(upload.manifest, upload.weights, device=CPU)
    x = RANDOM.normal(size=(3, width)).astype(np.float32)
    (expected,) = onnx.reference.ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": x})
    np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), expected, rtol=ROUNDING, atol=ROUNDING)
    return upload


def refusal(tmp_path, data, manifest=MANIFEST):
    with pytest.raises((UnsupportedModel, UnsafeModel)) as caught:
        opened(tmp_path, data, manifest)
    return caught.value.detail


def hidden(*activation, **attributes):
    """A network of one hidden layer with this activation."""
    operator, *more = activation
    return file_of(
        [
            node("Gemm", ["x", "W", "b"], "h", transB=1),
            node(operator, ["h", *more], "a", **attributes),
            node("MatMul", ["a", "V"], "y"),
        ],
        [
            constant("W", 6, 4), constant("b", 6), constant("V", 6, 2),
            numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(6), "six"),
        ],
    )  # fmt: skip


WHOLE = hidden("Clip", "zero", "six")


@pytest.mark.parametrize(
    ("activation", "attributes"),
    [
        (["Relu"], {}), (["Tanh"], {}), (["Sigmoid"], {}), (["Softplus"], {}), (["HardSwish"], {}), (["Gelu"], {}),
        (["Selu"], {}), (["Elu"], {}), (["Elu"], {"alpha": 0.3}), (["LeakyRelu"], {}), (["LeakyRelu"], {"alpha": 0.3}),
        (["HardSigmoid"], {"alpha": 1 / 6}), (["Clip", "zero", "six"], {}), (["Clip", "zero"], {}),
        (["Dropout"], {}), (["Identity"], {}),
    ],
    ids=str,
)  # fmt: skip
def test_an_activation_computes_what_onnx_says(tmp_path, activation, attributes):
    assert_computes_the_same(tmp_path, hidden(*activation, **attributes))


def test_a_residual_and_concatenated_network_computes_what_onnx_says(tmp_path):
    nodes = [
        node("Sub", ["x", "mean"], "centred"), node("Div", ["centred", "deviation"], "scaled"),
        node("MatMul", ["scaled", "W"], "product"), node("Add", ["product", "b"], "h"), node("Relu", ["h"], "a"),
        node("MatMul", ["a", "V"], "inner"), node("Sigmoid", ["inner"], "gate"), node("Mul", ["inner", "gate"], "silu"),
        node("Add", ["a", "silu"], "sum"), node("Concat", ["sum", "x"], "both", axis=1),
        node("BatchNormalization", ["both", "s", "t", "m", "v"], "normed", epsilon=1e-3),
        node("Sub", ["one", "normed"], "turned"), node("Mul", ["half", "turned"], "halved"),
        node("Sub", ["halved", "normed"], "less"), node("Gemm", ["less", "U", "c"], "y"),
    ]  # fmt: skip
    constants = [
        constant("mean", 4), constant("deviation", 1, 4, low=0.5, high=2.0), constant("W", 4, 6), constant("b", 6),
        constant("V", 6, 6), constant("s", 10), constant("t", 10), constant("m", 10),
        constant("v", 10, low=0.5, high=2.0), constant("U", 10, 3), constant("c", 3),
        numpy_helper.from_array(np.ones(1, np.float32), "one"), numpy_helper.from_array(np.float32(0.5), "half"),
    ]  # fmt: skip

    upload = assert_computes_the_same(tmp_path, file_of(nodes, constants))

    assert upload.manifest.architecture.family == "graph"
    assert upload.manifest.input.shape == (4,)
    assert [one.type for one in upload.manifest.architecture.nodes].count("linear") == 3


@pytest.mark.parametrize("halved_first", [False, True])
def test_gelu_written_out_is_read_as_one_layer(tmp_path, halved_first):
    numbers = {"root": np.sqrt(np.float32(2)), "one": np.float32(1), "half": np.float32(0.5)}
    whole = ["h", "shifted"] if not halved_first else ["halved", "shifted"]
    nodes = [
        node("MatMul", ["x", "W"], "h"), node("Div", ["h", "root"], "scaled"), node("Erf", ["scaled"], "erf"),
        node("Add", ["erf", "one"], "shifted"), node("Mul", ["half", "h"], "halved"), node("Mul", whole, "product"),
        node("Identity" if halved_first else "Mul", ["product"] if halved_first else ["product", "half"], "a"),
        node("MatMul", ["a", "V"], "y"),
    ]  # fmt: skip
    constants = [numpy_helper.from_array(value, name) for name, value in numbers.items()]

    upload = assert_computes_the_same(tmp_path, file_of(nodes, [W, V, *constants]))

    assert [one.type for one in upload.manifest.architecture.nodes] == ["linear", "gelu", "linear"]


def test_softplus_as_pytorch_exports_it_is_read_as_one_layer(tmp_path):
    threshold = constant("t", 1, low=20, high=20)
    parts = [node("Softplus", ["h"], "s"), node("Greater", ["h", "t"], "c"), node("Where", ["c", "h", "s"], "a")]

    assert_computes_the_same(tmp_path, file_of([HIDDEN, *parts, LAST], [W, V, threshold]))


@pytest.mark.parametrize(
    ("threshold", "otherwise", "reason"),
    [(1.0, "s", "part of Softplus only"), (20.0, "h", "expected PyTorch's softplus")],
)
def test_other_choices_are_refused(tmp_path, threshold, otherwise, reason):
    above = constant("t", 1, low=threshold, high=threshold)
    parts = [node("Softplus", ["h"], "s"), node("Greater", ["h", "t"], "c"), node("Where", ["c", "h", otherwise], "a")]

    assert reason in refusal(tmp_path, file_of([HIDDEN, *parts, LAST], [W, V, above]))


def test_standardisation_in_two_steps_is_one_layer(tmp_path):
    nodes = [node("Sub", ["x", "m"], "c"), node("Div", ["c", "s"], "z"), node("MatMul", ["z", "W"], "h"),
             node("Relu", ["h"], "a"), node("MatMul", ["a", "V"], "y")]  # fmt: skip
    constants = [W, V, constant("m", 4), constant("s", 4, low=0.5, high=2.0)]

    upload = assert_computes_the_same(tmp_path, file_of(nodes, constants))

    assert [one.type for one in upload.manifest.architecture.nodes] == ["affine", "linear", "relu", "linear"]


def test_constants_of_nodes_and_transposed_weights_are_read(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["W"], value=constant("", 6, 4)),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        node("Transpose", ["W"], "turned", perm=[1, 0]), node("MatMul", ["x", "turned"], "h"),
        node("Mul", ["h", "two"], "scaled"), node("Tanh", ["scaled"], "a"), node("Gemm", ["a", "V"], "y"),
    ]  # fmt: skip

    assert_computes_the_same(tmp_path, file_of(nodes, [constant("V", 6, 2)]))


def test_a_picture_is_flattened_and_a_last_softmax_left_out(tmp_path):
    nodes = [
        node("Reshape", ["x", "flat"], "v"), node("Gemm", ["v", "W"], "h"), node("Relu", ["h"], "a"),
        node("Gemm", ["a", "V"], "scores"), node("Softmax", ["scores"], "y", axis=1),
    ]  # fmt: skip
    constants = [
        numpy_helper.from_array(np.array([-1, 12]), "flat"), constant("W", 12, 5), constant("V", 5, 2),
    ]  # fmt: skip

    upload = opened(tmp_path, file_of(nodes, constants, inputs=[("x", ("batch", 3, 2, 2))]))

    assert [one.type for one in upload.manifest.architecture.nodes] == ["flatten", "linear", "relu", "linear"]
    assert upload.manifest.input.shape == (3, 2, 2)
    assert upload.inspection.outputs == 2


HIDDEN, LAST = node("MatMul", ["x", "W"], "h"), node("MatMul", ["a", "V"], "y")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (file_of([HIDDEN, node("Sin", ["h"], "a"), LAST], [W, V]), r"'Sin a' \(Sin\): this operator is not supp"),
        (file_of([HIDDEN, node("Erf", ["h"], "a"), LAST], [W, V]), r"'Erf a' \(Erf\): .* part of GELU only"),
        (file_of([node("Conv", ["x", "W"], "y")], [W]), r"\(Conv\).*list the layers"),
        (
            file_of([helper.make_node("Relu", ["x"], ["y"], domain="com.example")]),
            r"node 'y' \(com.example.Relu\): this operator",
        ),
        (file_of([HIDDEN, node("Softmax", ["h"], "a"), LAST], [W, V]), "only a last softmax"),
        (file_of([HIDDEN, node("Mul", ["h", "h"], "a"), LAST], [W, V]), "product of two computed values"),
        (file_of([node("Add", ["a", "x"], "b"), node("Relu", ["b"], "a"), node("Relu", ["a"], "y")]), "in a cycle"),
        (file_of([node("MatMul", ["x", "V"], "y")], [V]), r"\[2, 6\].*do not fit a sample of \(4,\)"),
        (file_of([node("Relu", ["x"], "y")], inputs=[("x", ("b", "n"))]), r"shape \(batch, features\).*'\?'"),
        (file_of([node("Relu", ["x"], "y")], inputs=[("x", (1, 4)), ("z", (1, 4))]), "one input, got 2: x, z"),
        (file_of([HIDDEN, node("Relu", ["h"], "y"), node("Tanh", ["h"], "z")], [W], outputs=["y", "z"]), "one output"),
        (file_of([HIDDEN, node("Clip", ["h", "V"], "y")], [W, V]), "expected one number"),
        (file_of([node("Identity", ["x"], "y")]), "the output is the input itself"),
        (file_of([node("Gemm", ["x", "W"], "y", alpha=0.5)], [W]), "expected alpha 1, got 0.5"),
        (file_of([node("Gelu", ["x"], "y", approximate="tanh")]), "exact GELU"),
        (file_of([node("Relu", ["x"], "y")], inputs=[("x", (1, 10**9))]), "at most 4096 along an axis"),
    ],
    ids=[
        "operator", "erf", "convolution", "domain", "softmax", "product", "cycle", "shapes", "symbolic", "two inputs",
        "two outputs", "clip", "nothing", "alpha", "gelu", "gigantic",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_operator_and_node(tmp_path, data, reason):
    with pytest.raises(UnsupportedModel, match=reason):
        opened(tmp_path, data)


def test_external_data_are_refused_and_no_file_is_opened(tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(96))
    model = onnx.load_from_string(file_of([HIDDEN, node("Relu", ["h"], "y")], [W]))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "weights.bin")
    model.graph.initializer[0].ClearField("raw_data")

    assert "lies in another file" in refusal(tmp_path, model.SerializeToString())


def test_shapes_that_promise_more_than_there_is_are_refused(tmp_path):
    model = onnx.load_from_string(file_of([HIDDEN, node("Relu", ["h"], "y")], [W]))
    model.graph.initializer[0].dims[:] = [2**40, 2**40]

    assert "but has 96" in refusal(tmp_path, model.SerializeToString())


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT8, TensorProto.STRING])
def test_weights_that_are_no_floats_are_refused(tmp_path, kind):
    model = onnx.load_from_string(file_of([HIDDEN, node("Relu", ["h"], "y")], [W]))
    model.graph.initializer[0].data_type = kind

    assert "expected float numbers, got ONNX's data type" in refusal(tmp_path, model.SerializeToString())


def test_half_and_double_precision_are_read(tmp_path):
    for kind in (np.float16, np.float64):
        weights = [numpy_helper.from_array(np.ones((4, 6), kind), "W"), V]
        opened(tmp_path, file_of([HIDDEN, node("Relu", ["h"], "a"), LAST], weights))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    poisoned = numpy_helper.from_array(np.full((4, 6), np.nan, np.float32), "W")

    assert "NaN" in refusal(tmp_path, file_of([HIDDEN, node("Relu", ["h"], "a"), LAST], [poisoned, V]))


def test_a_million_nodes_are_refused_early(tmp_path):
    one = node("Relu", ["x"], "x").SerializeToString()
    field = b"\x0a" + bytes([len(one)]) + one
    graph = field * 1_000_000
    size = len(graph)
    length = b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7

    assert f"at most {MOST_NODES} nodes" in refusal(tmp_path, b"\x08\x08\x3a" + length + bytes([size]) + graph)


def test_concatenations_that_grow_without_end_are_refused(tmp_path):
    nodes = [node("Concat", ["x"] * 50, "c0", axis=1)]
    nodes += [node("Concat", [f"c{k - 1}"] * 50, f"c{k}", axis=1) for k in range(1, 9)]

    assert "numbers in all nodes" in refusal(tmp_path, file_of([*nodes, node("Relu", ["c8"], "y")]))


def test_a_tensor_that_is_used_a_thousand_times_is_refused(tmp_path):
    square = constant("S", 300, 300)
    nodes = [node("MatMul", [f"h{k}", "S"], f"h{k + 1}") for k in range(1000)]
    data = file_of([*nodes, node("Relu", ["h1000"], "y")], [square], inputs=[("h0", (1, 300))])

    assert "but the file has" in refusal(tmp_path, data)


def test_a_file_that_is_cut_off_anywhere_is_refused_or_read(tmp_path):
    data = hidden("Relu")
    for length in range(0, len(data), 7):
        assert refusal(tmp_path, data[:length])


@given(st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=4))
@settings(deadline=None)
def test_a_damaged_file_is_read_or_refused_with_a_reason(damages):
    data = bytearray(WHOLE)
    for place, byte in damages:
        data[place % len(data)] = byte

    with suppress(ValueError):
        dense_network(memoryview(bytes(data)))


def test_a_float_attribute_of_another_length_is_refused():
    data = hidden("LeakyRelu", alpha=0.25)
    broken = data.replace(b"\x15" + struct.pack("<f", 0.25), b"\x12\x03abc")

    assert broken != data
    with pytest.raises(ValueError, match="expected"):
        dense_network(memoryview(broken))


def test_a_shape_that_contradicts_the_manifest_is_refused(tmp_path):
    other = Manifest.model_validate({"architecture": {"family": "onnx"}, "input": {"kind": "features", "shape": [5]}})

    assert "[5]" in refusal(tmp_path, hidden("Relu"), other)
