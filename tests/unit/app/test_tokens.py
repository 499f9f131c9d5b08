"""Texts as token ids: which models and texts the gateway takes, what it keeps of them, and where it says no."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from jobs.schemas import Capability, Tokens
from jobs.settings import Settings
from tests.unit.app.service import (
    BASE_URL,
    INSPECTION,
    RecordingQueue,
    features_manifest,
    inline,
    inspect,
    safetensors,
    upload,
)

PADDING, MASK, VOCABULARY, LENGTH = 0, 1, 20, 5
FORWARD_ONLY = INSPECTION.model_copy(
    update={"capabilities": (Capability.FORWARD,), "obstacles": {Capability.GRADIENT: "ids have no gradient"}}
)


def tokens_manifest(**changes):
    layers = [{"type": "embedding", "outputs": 4}, {"type": "token-mean"}, {"type": "linear", "outputs": 10}]
    described = {
        "kind": "tokens", "shape": [LENGTH], "vocabulary": VOCABULARY, "mask_id": MASK, "padding_id": PADDING,
    }  # fmt: skip
    return {"architecture": {"family": "sequential", "layers": layers}, "input": described | changes}


def ready(client, here, **changes):
    made = upload(client, tokens_manifest(**changes), artifact=safetensors(6)).json()["id"]
    inspect(here, made, FORWARD_ONLY)
    return made


@pytest.fixture(scope="module")
def queue():
    return RecordingQueue()


@pytest.fixture(scope="module")
def client(tmp_path_factory, queue):
    """One gateway for all tests here, which only ask and are refused."""
    folder = tmp_path_factory.mktemp("tokens")
    settings = Settings(data_dir=folder, reaper_interval_seconds=3600.0, max_input_mib=1, max_model_mib=1)
    with TestClient(create_app(settings, queue=queue), base_url=BASE_URL) as client:
        yield client


@pytest.fixture(scope="module")
def here(client):
    return client.app.state.gateway


@pytest.fixture(scope="module")
def tokens_model_id(client, here):
    return ready(client, here)


@pytest.fixture
def ask(client, tokens_model_id):
    """Post tokens; keyword arguments change the body."""

    def post(tokens, **changes):
        body = {"model": tokens_model_id, "method": "profile", "input": {"tokens": tokens}, **changes}
        return client.post("/v1/explanations", json=body)

    return post


def pointers(answer):
    return [fault["pointer"] for fault in answer.json()["errors"]]


def kept(here, answer):
    """The bytes that the runner of the answered job reads."""
    return json.loads(here.artifacts.get(answer.json()["input"]["sha256"]))


def test_tokens_are_kept_with_their_texts_and_words(ask, here):
    answer = ask({"ids": [2, 3, 4, 5], "texts": ["[CLS]", "not", "good", "##ish"], "words": [None, 0, 1, 1]})

    assert (answer.status_code, answer.json()["input"]["kind"]) == (202, "tokens")
    assert kept(here, answer) == {
        "ids": [2, 3, 4, 5], "texts": ["[CLS]", "not", "good", "##ish"], "words": [None, 0, 1, 1],
    }  # fmt: skip


def test_without_words_every_token_but_padding_is_one(ask, here):
    answer = ask({"ids": [2, PADDING, 4]})

    assert kept(here, answer) == {"ids": [2, 0, 4], "texts": ["2", "0", "4"], "words": [0, None, 2]}


def test_without_texts_the_manifests_names_are_told(client, here):
    model = ready(client, here, names=[f"word {index}" for index in range(VOCABULARY)])
    body = {"model": model, "method": "profile", "input": {"tokens": {"ids": [19]}}}

    answer = client.post("/v1/explanations", json=body)

    assert kept(here, answer)["texts"] == ["word 19"]


def test_requests_that_say_the_same_are_one_job(ask):
    first, spelled_out, other = (
        ask(tokens)
        for tokens in (
            {"ids": [2, 3]},
            {"words": [0, 1], "texts": ["2", "3"], "ids": [2, 3]},
            {"ids": [2, 3], "words": [0, 0]},
        )
    )

    assert first.json()["id"] == spelled_out.json()["id"] != other.json()["id"]


def test_tokens_are_taken_as_a_part_of_their_own(client, tokens_model_id, ask):
    request = json.dumps({"model": tokens_model_id, "method": "profile"})
    parts = {"request": (None, request), "tokens": ("text.json", json.dumps({"ids": [2, 3]}))}

    answer = client.post("/v1/explanations", files=parts)

    assert answer.status_code == 202
    assert answer.json()["id"] == ask({"ids": [2, 3]}).json()["id"]


def test_tokens_are_estimated(client, tokens_model_id):
    body = {"model": tokens_model_id, "method": "profile", "input": {"tokens": {"ids": [2]}}}

    answer = client.post("/v1/explanations:estimate", json=body)

    assert (answer.status_code, answer.json()["cost"]["forwards"]) == (200, 2**3)


def test_further_texts_are_taken_and_named_when_at_fault(ask):
    taken = ask({"ids": [2]}, samples=[{"tokens": {"ids": [3]}}, {"tokens": {"ids": [4, 5]}}])
    refused = ask({"ids": [2]}, samples=[{"tokens": {"ids": [3]}}, {"tokens": {"ids": [4, VOCABULARY]}}])

    assert taken.status_code == 202
    assert (refused.status_code, pointers(refused)) == (422, ["/samples/1/tokens/ids/1"])


@pytest.mark.parametrize(
    ("tokens", "pointer", "said"),
    [
        ({"ids": []}, "/input/tokens/ids", "at least 1"),
        ({}, "/input/tokens/ids", "required"),
        ({"ids": [2, 20]}, "/input/tokens/ids/1", "below the vocabulary of 20, got 20"),
        ({"ids": [2, -1]}, "/input/tokens/ids/1", "greater than or equal to 0"),
        ({"ids": [2, 2**31]}, "/input/tokens/ids/1", "less than"),
        ({"ids": [2, 2**70]}, "/input/tokens/ids/1", ""),
        ({"ids": [2, 3.5]}, "/input/tokens/ids/1", "integer"),
        ({"ids": ["2"]}, "/input/tokens/ids/0", "integer"),
        ({"ids": [True]}, "/input/tokens/ids/0", "integer"),
        ({"ids": [None]}, "/input/tokens/ids/0", "integer"),
        ({"ids": [[2, 3]]}, "/input/tokens/ids/0", "integer"),
        ({"ids": "not good"}, "/input/tokens/ids", ""),
        ({"ids": [2] * 6}, "/input/tokens/ids", "at most 5 tokens, got 6"),
        ({"ids": [2] * 5000}, "/input/tokens/ids", "at most 4096"),
        ({"ids": [PADDING] * 3}, "/input/tokens/ids", "not padding"),
        ({"ids": [2, 3], "texts": ["a"]}, "/input/tokens/texts", "as many texts as ids, 2, got 1"),
        ({"ids": [2], "texts": [3]}, "/input/tokens/texts/0", "string"),
        ({"ids": [2], "texts": ["x" * 201]}, "/input/tokens/texts/0", "at most 200"),
        ({"ids": [2, 3], "words": [0, 0, 1]}, "/input/tokens/words", "as many words as ids, 2, got 3"),
        ({"ids": [2, 3], "words": [None, None]}, "/input/tokens/words", "one word at least"),
        ({"ids": [2], "words": [-1]}, "/input/tokens/words/0", "greater than or equal to 0"),
        ({"ids": [2], "words": ["not"]}, "/input/tokens/words/0", "integer"),
        ({"ids": [2, PADDING], "words": [0, 1]}, "/input/tokens/words/1", "padding is never a player"),
        ({"ids": [2], "mask": 1}, "/input/tokens/mask", "unknown field"),
        ([2, 3], "/input/tokens", ""),
        ("not good", "/input/tokens", ""),
    ],
)
def test_nonsense_is_refused_where_it_stands(ask, queue, tokens, pointer, said):
    ask({"ids": [2]})
    before = len(queue.rung)

    answer = ask(tokens)

    assert answer.status_code == 422
    assert pointer in pointers(answer)
    assert said in answer.text
    assert len(queue.rung) == before


def test_a_text_of_a_single_token_is_taken(ask):
    assert ask({"ids": [7]}).status_code == 202


def test_a_wrong_vocabulary_is_answered_with_the_first_faults(client, here):
    model = ready(client, here, shape=[4096])
    body = {"model": model, "method": "profile", "input": {"tokens": {"ids": [VOCABULARY] * 4096}}}

    answer = client.post("/v1/explanations", json=body)

    assert pointers(answer) == [f"/input/tokens/ids/{index}" for index in range(20)]


def test_without_a_padding_id_texts_have_the_full_length(client, here):
    model = ready(client, here, padding_id=None)
    body = {"model": model, "method": "profile"}

    short, whole = (
        client.post("/v1/explanations", json={**body, "input": {"tokens": {"ids": [2] * length}}})
        for length in (LENGTH - 1, LENGTH)
    )

    assert (short.status_code, pointers(short)) == (422, ["/input/tokens/ids"])
    assert "5 tokens, as the model has no padding_id, got 4" in short.json()["detail"]
    assert whole.status_code == 202


@pytest.mark.parametrize(
    ("input", "pointer"),
    [
        (None, "/input"),
        ({}, "/input"),
        ({"features": [1.0, 2.0]}, "/input/features"),
        (inline(), "/input/image"),
        ({"tokens": {"ids": [2]}, "features": [1.0]}, "/input"),
        ({"tokens": None}, "/input"),
    ],
)
def test_other_input_for_a_model_of_tokens_is_refused(ask, input, pointer):
    answer = ask({}, input=input)

    assert (answer.status_code, pointers(answer)) == (422, [pointer])


def test_tokens_for_other_models_are_refused(client, model_id, features_model_id):
    for model in (model_id, features_model_id):
        body = {"model": model, "method": "gradient", "input": {"tokens": {"ids": [2]}}}

        answer = client.post("/v1/explanations", json=body)

        assert (answer.status_code, pointers(answer)) == (422, ["/input/tokens"])


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"tokens": b"{"}, "/tokens"),
        ({"tokens": b"\xff\xfe"}, "/tokens"),
        ({"tokens": b"[]"}, "/tokens"),
        ({"tokens": b"null"}, "/tokens"),
        ({"tokens": b'{"ids": [2, "3"]}'}, "/tokens/ids/1"),
        ({"tokens": b'{"ids": [20]}'}, "/tokens/ids/0"),
        ({"tokens": b'{"ids": [NaN]}'}, "/tokens"),
        ({"image": b"{}"}, "/image"),
        ({"tokens": b'{"ids": [2]}', "image": b"x"}, "/tokens"),
        ({}, "/image"),
    ],
)
def test_a_part_at_fault_is_named(client, tokens_model_id, parts, pointer):
    request = json.dumps({"model": tokens_model_id, "method": "profile"})
    files = {"request": (None, request), **{name: (name, data) for name, data in parts.items()}}

    answer = client.post("/v1/explanations", files=files)

    assert (answer.status_code, pointers(answer)) == (422, [pointer])


def test_a_part_too_large_ends_the_request(client, tokens_model_id):
    request = json.dumps({"model": tokens_model_id, "method": "profile"})
    files = {"request": (None, request), "tokens": ("x", b" " * 1_100_000)}

    assert client.post("/v1/explanations", files=files).status_code == 413


def test_tokens_twice_are_refused(client, tokens_model_id):
    request = json.dumps({"model": tokens_model_id, "method": "profile", "input": {"tokens": {"ids": [2]}}})
    files = {"request": (None, request), "tokens": ("x", b'{"ids": [2]}')}

    answer = client.post("/v1/explanations", files=files)

    assert (answer.status_code, pointers(answer)) == (422, ["/input"])


def test_a_method_that_takes_no_tokens_says_so(client, ask, tokens_model_id):
    answer = ask({"ids": [2]}, method="gradient")

    assert (answer.status_code, pointers(answer)) == (422, ["/method"])
    assert "not of tokens input" in answer.json()["detail"]
    methods = client.get(f"/v1/models/{tokens_model_id}").json()["methods"]
    assert [name for name, document in methods.items() if document["supported"]] == ["profile"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocabulary": None}, "expected vocabulary and mask_id"),
        ({"mask_id": None}, "expected vocabulary and mask_id"),
        ({"mask_id": VOCABULARY}, "mask_id below the vocabulary of 20, got 20"),
        ({"padding_id": VOCABULARY}, "padding_id below the vocabulary of 20, got 20"),
        ({"shape": [5, 5]}, "1 dimension(s) for kind 'tokens'"),
        ({"names": ["a", "b"]}, "expected 20 token names, got 2"),
    ],
)
def test_a_manifest_of_tokens_at_fault_is_refused(client, changes, said):
    answer = upload(client, tokens_manifest(**changes), artifact=safetensors(6))

    assert (answer.status_code, pointers(answer)) == (422, ["/input"])
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"vocabulary": 1}, "/input/vocabulary"),
        ({"vocabulary": 10**9}, "/input/vocabulary"),
        ({"mask_id": -1}, "/input/mask_id"),
        ({"shape": [5000]}, "/input/shape/0"),
        ({"words": 3}, "/input/words"),
    ],
)
def test_a_number_out_of_range_in_the_manifest_is_pointed_at(client, changes, pointer):
    answer = upload(client, tokens_manifest(**changes), artifact=safetensors(6))

    assert (answer.status_code, pointers(answer)[:1]) == (422, [pointer])


@pytest.mark.parametrize("field", ["vocabulary", "mask_id", "padding_id"])
def test_what_only_tokens_have_is_refused_elsewhere(client, field):
    described = features_manifest()

    answer = upload(client, described | {"input": described["input"] | {field: 3}})

    assert (answer.status_code, pointers(answer)) == (422, ["/input"])
    assert f"expected no {field} for kind 'features'" in answer.json()["detail"]


def test_what_tokens_do_not_have_is_refused(client):
    names = upload(client, {"architecture": "resnet18", "input": {"names": ["r", "g", "b"]}})
    torchvision = upload(client, tokens_manifest() | {"architecture": "resnet18"})
    preprocessing = upload(client, tokens_manifest() | {"preprocessing": {"resize": 8}})

    assert "expected no names for kind 'image'" in names.json()["detail"]
    assert "expected a sequential architecture for tokens" in torchvision.json()["detail"]
    assert "expected no preprocessing for tokens" in preprocessing.json()["detail"]


def test_tokens_have_one_form():
    given = Tokens(ids=(2, 3), texts=("a", "b"), words=(None, 0))

    assert Tokens.model_validate_json(given.model_dump_json()) == given


def test_a_rule_sees_how_many_words_there_are(ask):
    text = {"ids": [2, 3, 4, 5], "words": [None, 0, 1, 1]}

    fits, too_many = (ask(text, params={"pairs": pairs}) for pairs in (2, 3))

    assert (fits.status_code, too_many.status_code, pointers(too_many)) == (202, 422, ["/params/pairs"])
    assert too_many.json()["detail"] == "/params/pairs: expected no more pairs than there are inputs (2), got 3"
