import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from jobs.errors import InputTooLarge, InvalidInput, InvalidParameters
from jobs.schemas import Inspection, Job, JobKind, Manifest, Model, ModelStatus, Status, Target
from jobs.settings import Settings
from worker.methods._registry import NoTables
from worker.subjects import load_subject

CPU = torch.device("cpu")
IDENTITY = nn.Identity()


def model(manifest, activation_bytes=2**20):
    inspection = Inspection(
        parameters=1, outputs=10, capabilities=(), seconds_forward=0.1, activation_bytes=activation_bytes
    )
    return Model(
        id="model_1", tenant="t", status=ModelStatus.READY, manifest=Manifest.model_validate(manifest),
        sha256="0", size_bytes=1, created_at=0, inspection=inspection,
    )  # fmt: skip


def image_model(channels=3, **options):
    return model(
        {
            "architecture": "mobilenet_v2",
            "input": {"shape": [channels, 8, 8]},
            "preprocessing": {"mean": [0.5] * channels, "std": [0.25] * channels},
            "classes": [str(index) for index in range(10)],
        },
        **options,
    )


def features_model(names=("age", "income", "rooms")):
    layers = [{"type": "linear", "outputs": 10}]
    return model(
        {
            "architecture": {"family": "sequential", "layers": layers},
            "input": {"kind": "features", "shape": [3], "names": names},
        }
    )


def load(model, *inputs, settings=None, **job):
    row = Job(
        id="job_1", tenant="t", kind=JobKind.EXPLANATION, status=Status.RUNNING, model_id=model.id,
        created_at=0, deadline_at=1, **job,
    )  # fmt: skip
    return load_subject(
        row, model, IDENTITY, inputs, settings=settings or Settings(), device=CPU,
        report=lambda stage, done, total: None, tables=NoTables(),
    )  # fmt: skip


def png(colour=(255, 128, 0), size=(16, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_becomes_a_normalised_input_and_what_the_model_sees_of_it():
    subject = load(image_model(), png(), seed=7, target=Target(index=3))

    seen = torch.tensor([255, 128, 0]) / 255
    assert subject.input.shape == (3, 8, 8)
    torch.testing.assert_close(subject.pixels, seen.expand(8, 8, 3))
    torch.testing.assert_close(subject.input, ((seen - 0.5) / 0.25)[:, None, None].expand(3, 8, 8))
    assert (subject.seed, subject.target) == (7, Target(index=3))
    assert subject.model is IDENTITY
    assert len(subject.classes) == 10


def test_the_input_is_the_normalised_picture():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")

    subject = load(image_model(), buffer.getvalue())

    mean, std = torch.tensor(subject.mean), torch.tensor(subject.std)
    torch.testing.assert_close(subject.input, ((subject.pixels - mean) / std).permute(2, 0, 1))


def test_a_grey_model_sees_a_grey_picture():
    subject = load(image_model(channels=1), png())

    assert subject.input.shape == (1, 8, 8)
    assert subject.pixels.shape == (8, 8, 3)
    torch.testing.assert_close(subject.input[0], (subject.pixels[:, :, 1] - 0.5) / 0.25)


def test_features_are_read_from_json():
    subject = load(features_model(), b"[1, -2.5, 3e3]")

    assert subject.input.tolist() == [1, -2.5, 3000]
    assert subject.pixels is None
    assert subject.mean == subject.std == ()
    assert subject.names == ("age", "income", "rooms")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1, 2]", r"expected 3 feature\(s\), got an array of shape \[2\]"),
        (b"[[1, 2, 3]]", r"got an array of shape \[1, 3\]"),
        (b"1", r"got an array of shape \[\]"),
        (b"[1, 2, NaN]", "expected finite features"),
        (b"[1, 2, 1e300]", "expected finite features"),
        (b'["a", 2, 3]', "expected a JSON array of 3 numbers"),
        (b'{"a": 1}', "expected a JSON array of 3 numbers"),
        (b"[1, [2], 3]", "expected a JSON array of 3 numbers"),
        (b"[null, 2, 3]", "expected a JSON array of 3 numbers"),
        (b"\xff\xfe", "expected a JSON array of 3 numbers"),
        (b"[" * 100_000, "expected a JSON array of 3 numbers"),
    ],
)
def test_other_features_are_refused(data, message):
    with pytest.raises(InvalidInput, match=message):
        load(features_model(), data)


@pytest.mark.parametrize("target", [Target(index=10), Target(index=0, against=10)])
def test_a_target_beyond_the_outputs_is_refused(target):
    with pytest.raises(InvalidParameters, match="below 10, the outputs, got 10"):
        load(image_model(), png(), target=target)


def test_a_picture_above_the_limit_is_refused():
    with pytest.raises(InputTooLarge):
        load(image_model(), png(size=(100, 100)), settings=Settings(max_pixels=9_999))


@pytest.mark.parametrize(("mib", "chunk"), [(1, 32), (16, 4), (1000, 1)])
def test_the_chunk_fits_the_memory_budget(mib, chunk):
    subject = load(image_model(activation_bytes=mib * 2**20), png(), settings=Settings(memory_budget_mib=64))

    assert subject.chunk == chunk


def test_what_the_operator_provides_is_handed_on():
    assert load(image_model(), png(), settings=Settings(sam_model="sam")).resources == {"sam_model": "sam"}
    assert load(image_model(), png(), settings=Settings(sam_model=None)).resources == {}


def test_further_inputs_are_subjects_like_the_first():
    first = load(features_model(), b"[1, 2, 3]", b"[4, 5, 6]", b"[7, 8, 9]", seed=5, target=Target(index=3))

    assert first.input.tolist() == [1, 2, 3]
    assert [sample.input.tolist() for sample in first.samples] == [[4, 5, 6], [7, 8, 9]]
    for sample in first.samples:
        assert sample.samples == ()
        assert (sample.model, sample.seed, sample.target, sample.names) == (IDENTITY, 5, Target(index=3), first.names)


def test_a_sample_of_another_kind_is_refused():
    with pytest.raises(InvalidInput):
        load(features_model(), b"[1, 2, 3]", png())


def test_samples_that_take_too_much_memory_together_are_refused_before_they_are_read():
    large = model({"architecture": "mobilenet_v2", "input": {"shape": [3, 2048, 2048]}})
    settings = Settings(memory_budget_mib=200)

    with pytest.raises(InputTooLarge, match="at most 2 inputs") as refused:
        load(large, b"", b"", b"", settings=settings)

    assert refused.value.errors[0].pointer == "/samples"


def tokens_model(**changes):
    described = {"kind": "tokens", "shape": [6], "vocabulary": 20, "mask_id": 1, "padding_id": 0, **changes}
    layers = [{"type": "embedding", "outputs": 4}, {"type": "token-mean"}, {"type": "linear", "outputs": 10}]
    return model({"architecture": {"family": "sequential", "layers": layers}, "input": described})


def test_tokens_are_filled_up_with_padding_that_is_no_word():
    subject = load(tokens_model(), b'{"ids": [2, 3, 4], "texts": ["a", "b", "##c"], "words": [null, 0, 0]}')

    assert subject.input.dtype == torch.int64
    assert subject.input.tolist() == [2, 3, 4, 0, 0, 0]
    assert subject.names == ("a", "b", "##c", "", "", "")
    assert subject.words == (None, 0, 0, None, None, None)
    assert (subject.mask_id, subject.pixels) == (1, None)
    assert (subject.players.kind, subject.players.shape) == ("token", (6,))


def test_tokens_alone_are_words_named_by_the_vocabulary():
    named, unnamed = tokens_model(names=[f"w{id}" for id in range(20)]), tokens_model()

    assert load(named, b'{"ids": [2, 0, 4]}').names == ("w2", "w0", "w4", "", "", "")
    assert load(unnamed, b'{"ids": [2, 0, 4]}').names == ("2", "0", "4", "", "", "")
    assert load(unnamed, b'{"ids": [2, 0, 4]}').words == (0, None, 2, None, None, None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[2, 3]", "expected a JSON object of ids, texts and words"),
        (b"\xff", "expected a JSON object"),
        (b'{"ids": [2, 20]}', "tokens/ids/1: expected an id below the vocabulary of 20, got 20"),
        (b'{"ids": [2, 2, 2, 2, 2, 2, 2]}', "at most 6 tokens, got 7"),
        (b'{"ids": [0, 0]}', "not padding"),
        (b'{"ids": [2], "words": [0, 1]}', "as many words as ids, 1, got 2"),
    ],
)
def test_other_tokens_are_refused(data, message):
    with pytest.raises(InvalidInput, match=message):
        load(tokens_model(), data)
