"""Text classifiers as a list of layers: PyTorch's own keys and numbers, and padding that counts for nothing."""

import pytest
import torch
from safetensors.torch import save
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Capability, Manifest
from worker.models import inspect_upload, load
from worker.models.architectures import build
from worker.models.token_layers import TokenFirst, TokenMax, TokenMean, TransformerBlock

CPU = torch.device("cpu")
VOCABULARY, LENGTH, DIM = 11, 6, 8
PADDING, MASK = 0, 1

# float32, where another length makes matrix products add in another order.
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}
# float64, where PyTorch's own layer adds in another order.
ROUNDING_64 = {"rtol": 1e-12, "atol": 1e-12}

EMBEDDING = {"type": "embedding", "outputs": DIM}
TRANSFORMER = {"type": "transformer", "heads": 2, "feedforward": 16}
MEAN = {"type": "token-mean"}
HEAD = {"type": "linear", "outputs": 3}


def manifest(*layers, padding=PADDING, length=LENGTH, classes=None):
    return Manifest.model_validate(
        {
            "architecture": {"family": "sequential", "layers": layers},
            "input": {
                "kind": "tokens", "shape": [length], "vocabulary": VOCABULARY, "mask_id": MASK, "padding_id": padding,
            },
            "classes": classes,
        }
    )  # fmt: skip


def weights(manifest, seed=0):
    """Random weights for the manifest's layers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: tensor.shape for key, tensor in build(manifest, {}).state_dict().items()}
    return {key: 0.5 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def loaded(*layers, **options):
    described = manifest(*layers, **options)
    return load(described, save(weights(described)), device=CPU)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize(("activation", "epsilon"), [("relu", 1e-5), ("gelu", 0.5)])
def test_a_transformer_block_is_pytorchs_encoder_layer(norm, activation, epsilon):
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(
        DIM, 2, 16, dropout=0.0, activation=activation, layer_norm_eps=epsilon, batch_first=True,
        norm_first=norm == "pre", dtype=torch.float64,
    ).eval()  # fmt: skip
    ours = TransformerBlock(DIM, 2, 16, norm=norm, activation=activation, epsilon=epsilon).double().eval()
    x = torch.randn(4, LENGTH, DIM, dtype=torch.float64)
    present = torch.rand(4, LENGTH) < 0.6
    present[:, 0] = True

    ours.load_state_dict(theirs.state_dict())

    expected = theirs(x, src_key_padding_mask=~present)
    torch.testing.assert_close(ours(x, present)[present], expected[present], **ROUNDING_64)


def test_the_keys_are_those_of_nn_sequential_and_of_pytorchs_layers():
    module = build(manifest(EMBEDDING, {"type": "positions"}, {"type": "layer-norm"}, TRANSFORMER, MEAN, HEAD), {})

    theirs = nn.TransformerEncoderLayer(DIM, 2, 16).state_dict()
    expected = {"0.weight": (VOCABULARY, DIM), "1.weight": (LENGTH, DIM), "2.weight": (DIM,), "2.bias": (DIM,)}
    expected |= {f"3.{key}": tuple(tensor.shape) for key, tensor in theirs.items()}
    expected |= {"5.weight": (3, DIM), "5.bias": (3,)}
    assert {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()} == expected
    assert all(tensor.is_meta for tensor in module.state_dict().values())


def test_positions_tell_places_apart():
    model = loaded(EMBEDDING, {"type": "positions"}, TRANSFORMER, MEAN, HEAD)
    without = loaded(EMBEDDING, TRANSFORMER, MEAN, HEAD)
    text, turned = torch.tensor([[2, 3, 4, 5, 6, 7]]), torch.tensor([[7, 6, 5, 4, 3, 2]])

    assert not torch.allclose(model(text), model(turned), **ROUNDING)
    torch.testing.assert_close(without(text), without(turned), **ROUNDING)


@pytest.mark.parametrize("pool", ["token-first", "token-mean", "token-max"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_does_not_influence_the_answer(pool, norm):
    """However long the padding is: the longer model's weights are the shorter one's."""
    layers = [EMBEDDING, TRANSFORMER | {"norm": norm}, TRANSFORMER, {"type": pool}, HEAD]
    longer, shorter = loaded(*layers), loaded(*layers, length=3)

    answer = longer(torch.tensor([[2, 3, 4, PADDING, PADDING, PADDING]]))

    torch.testing.assert_close(answer, shorter(torch.tensor([[2, 3, 4]])), **ROUNDING)


def test_padding_within_the_text_does_not_count_either():
    model = loaded(EMBEDDING, TRANSFORMER, MEAN, HEAD)
    ends, within = torch.tensor([[2, 3, 4, 0, 0, 0]]), torch.tensor([[0, 2, 0, 3, 0, 4]])

    torch.testing.assert_close(model(within), model(ends), **ROUNDING)


@pytest.mark.parametrize("pool", ["token-first", "token-mean", "token-max"])
def test_a_text_of_padding_alone_has_a_finite_answer(pool):
    """A mask id that is the padding id leaves every token out when all players are absent."""
    model = loaded(EMBEDDING, TRANSFORMER, {"type": pool}, HEAD)

    nothing, other = torch.full((1, LENGTH), PADDING), torch.full((2, LENGTH), PADDING)

    assert model(nothing).isfinite().all()
    torch.testing.assert_close(model(nothing), model(other)[:1], **ROUNDING)


def test_without_a_padding_id_every_token_counts():
    model = loaded(EMBEDDING, MEAN, HEAD, padding=None)
    zeros = torch.zeros(1, LENGTH, dtype=torch.int64)

    expected = model[2](model[0].weight[:1])

    torch.testing.assert_close(model(zeros), expected, **ROUNDING)


def test_pools_read_what_is_not_padding():
    x = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [100.0, 100.0]]])
    present = torch.tensor([[True, True, False]])

    assert TokenFirst()(x, present).tolist() == [[1.0, -5.0]]
    assert TokenMean()(x, present).tolist() == [[2.0, -6.0]]
    assert TokenMax()(x, present).tolist() == [[3.0, -5.0]]


def test_inspection_probes_with_ids_and_offers_no_gradient(tmp_path):
    described = manifest(EMBEDDING, TRANSFORMER, MEAN, HEAD, classes=["a", "b", "c"])
    file = tmp_path / "model"
    file.write_bytes(save(weights(described)))

    _, found, _ = inspect_upload(described, file, device=CPU)

    assert found.capabilities == (Capability.FORWARD,)
    assert set(found.obstacles) == {Capability.GRADIENT, Capability.SECOND_DERIVATIVE, Capability.MIXING_LAYER}
    for missing in (Capability.GRADIENT, Capability.SECOND_DERIVATIVE):
        assert "token ids" in found.obstacles[missing]
    assert found.outputs == 3
    assert found.seconds_forward > 0
    assert found.seconds_backward is found.seconds_hessian_row is None
    # The embedded tokens alone are LENGTH · DIM float32.
    assert found.activation_bytes > 4 * LENGTH * DIM


def test_activation_memory_grows_with_the_text(tmp_path):
    sizes = []
    for length in (32, 64):
        described = manifest(EMBEDDING, TRANSFORMER, MEAN, HEAD, length=length)
        (tmp_path / "model").write_bytes(save(weights(described)))
        sizes.append(inspect_upload(described, tmp_path / "model", device=CPU)[1].activation_bytes)

    # Attention's memory grows with the square of the length, everything else with the length.
    assert 1.8 < sizes[1] / sizes[0] < 4.2


def test_weights_that_answer_no_number_are_refused(tmp_path):
    described = manifest(EMBEDDING, MEAN, HEAD)
    state = weights(described)
    state["2.weight"] = torch.full_like(state["2.weight"], 3e38)
    (tmp_path / "model").write_bytes(save(state))

    with pytest.raises(UnsupportedModel, match="random tokens hold NaN or infinite"):
        inspect_upload(described, tmp_path / "model", device=CPU)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([HEAD], r"layer 0 \(linear\): expected an embedding, as 11 token ids come in"),
        ([{"type": "relu"}, HEAD], r"layer 0 \(relu\): expected an embedding"),
        ([EMBEDDING, EMBEDDING, MEAN, HEAD], r"layer 1 \(embedding\): expected an embedding only as the first layer"),
        ([EMBEDDING | {"inputs": 10}, MEAN, HEAD], r"layer 0 \(embedding\): expected inputs=11, .* got 10"),
        ([{"type": "embedding"}, MEAN, HEAD], r"layer 0 \(embedding\): expected outputs, got none"),
        ([EMBEDDING, HEAD], r"layer 1 \(linear\): expected a vector coming in, got \(6, 8\); pool the tokens"),
        ([EMBEDDING, {"type": "flatten"}, HEAD], r"layer 1 \(flatten\): .* as flattened padding would count"),
        ([EMBEDDING, {"type": "batch-norm"}, MEAN, HEAD], r"layer 1 \(batch-norm\): .* use a layer-norm"),
        ([EMBEDDING, {"type": "max-pool", "kernel": 2}], r"layer 1 \(max-pool\): expected \(channels, height, width\)"),
        ([EMBEDDING, TRANSFORMER | {"heads": 3}, MEAN, HEAD], r"heads that divide the 8 numbers of a token, got 3"),
        ([EMBEDDING, {"type": "transformer", "heads": 2}, MEAN, HEAD], r"layer 1 .*: expected feedforward, got none"),
        ([EMBEDDING, TRANSFORMER | {"inputs": 7}, MEAN, HEAD], r"layer 1 .*: expected inputs=8, .* got 7"),
        ([EMBEDDING, TRANSFORMER | {"kernel": 3}, MEAN, HEAD], r"layer 1 .*: expected no kernel, got 3"),
        ([EMBEDDING, MEAN | {"heads": 2}, HEAD], r"layer 1 \(token-mean\): expected no heads, got 2"),
        ([EMBEDDING, MEAN, MEAN, HEAD], r"layer 2 \(token-mean\): expected \(tokens, dim\) coming in, got \(8,\)"),
        ([EMBEDDING, MEAN, TRANSFORMER, HEAD], r"layer 2 \(transformer\): expected \(tokens, dim\) coming in"),
        ([EMBEDDING, MEAN, {"type": "positions"}, HEAD], r"layer 2 \(positions\): expected \(tokens, dim\) coming in"),
        ([EMBEDDING, TRANSFORMER], r"layer 1 \(transformer\): expected \(outputs,\) .* pool the tokens"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(layers, message):
    with pytest.raises(UnsupportedModel, match=message):
        build(manifest(*layers), {})


def test_layers_of_tokens_are_refused_in_other_models():
    for layers, message in (
        ([EMBEDDING, MEAN, HEAD], "layer 0 .* only as the first layer of a model of tokens"),
        ([MEAN, HEAD], r"layer 0 \(token-mean\): expected \(tokens, dim\) coming in, got \(4,\)"),
        ([{"type": "layer-norm"}, TRANSFORMER], r"layer 1 \(transformer\): expected \(tokens, dim\)"),
    ):
        features = Manifest.model_validate(
            {
                "architecture": {"family": "sequential", "layers": layers},
                "input": {"kind": "features", "shape": [4]},
            }
        )
        with pytest.raises(UnsupportedModel, match=message):
            build(features, {})


def test_a_layer_norm_of_a_picture_is_refused():
    layers = [{"type": "layer-norm"}, {"type": "flatten"}, HEAD]
    picture = {"architecture": {"family": "sequential", "layers": layers}, "input": {"shape": [3, 4, 4]}}

    with pytest.raises(UnsupportedModel, match=r"layer 0 \(layer-norm\): .* use a batch-norm"):
        build(Manifest.model_validate(picture), {})


def test_flattened_tokens_are_taken_where_there_is_no_padding():
    model = loaded(EMBEDDING, {"type": "flatten"}, HEAD, padding=None)

    assert model(torch.arange(LENGTH)[None]).shape == (1, 3)


def test_a_layer_norm_normalises_the_last_axis():
    model = loaded(EMBEDDING, MEAN, {"type": "layer-norm", "epsilon": 0.5}, HEAD)

    norm = nn.functional.layer_norm(model[0].weight[[2]], (DIM,), model[2].weight, model[2].bias, eps=0.5)
    expected = model[3](norm)

    torch.testing.assert_close(model(torch.tensor([[2, 0, 0, 0, 0, 0]])), expected, **ROUNDING)


def test_a_stored_description_is_read_as_it_was():
    original = manifest(EMBEDDING, TRANSFORMER | {"norm": "pre", "activation": "gelu", "epsilon": 0.5}, MEAN, HEAD)

    stored = Manifest.model_validate_json(original.model_dump_json())

    assert stored == original
    assert str(build(stored, {})) == str(build(original, {}))
    assert "norm=pre" in str(build(stored, {}))
    assert "GELU" in str(build(stored, {}))
    assert build(stored, {})[1].norm2.eps == 0.5
