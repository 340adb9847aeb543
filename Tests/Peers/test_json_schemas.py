"""The JSON of every command matches its schema in docs/json, and the schemas refuse what they should."""

import copy
from pathlib import Path

import json_schemas
import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
TORCH = "fixtures/torch/"
INPUT = "fixtures/inputs/input_97x131.npy"


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_schema_is_valid(name):
    schema = json_schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/{name}.schema.json") and schema["title"].strip()


LINES = [
    *[["inspect", file] for file in ["nested.pth", "views.pth", "candidates.pth", "quantized.pth", "sparse.pth", "dtypes.pth"]],
    ["inspect", "nested.pth", "--stats", "--digest", "--checksums"], ["ls", "nested.pth"], ["inspect", "missing.pth"],
    ["inspect", "nested.pth", "--wrong"], ["inspect", ".", "-r"],
    ["identify", "small_basic.pth", "--explain"], ["identify", "small_nodown.pth"], ["identify", "nested.pth"],
    ["identify", "--architectures"], ["identify", "--dialects"], ["identify", ".", "-r"],
    ["verify", "small_basic.pth"], ["verify", "small_basic.pth", "--arch", "resnet18"], ["verify", "nested.pth"],
    ["diff", "nested.pth", "nested.pth"], ["diff", "small_basic.pth", "small_nodown.pth"],
    ["convert", "nested.pth", "OUT/x.safetensors"], ["convert", "small_basic.pth", "OUT/x.onnx"],
    ["convert", "nested.pth", "OUT/x.pth"], ["synthesize", "resnet20", "-o", "OUT/y.pth"],
    ["run", "small_basic.pth", "--input", INPUT], ["run", "small_basic.pth", "--input", INPUT, "--validate"],
    ["run", "small_basic.pth", "--input", INPUT, "--num-classes", "0"],
    ["run", "small_basic.pth", "--input", INPUT, "--repeat", "2"],
    ["run", "small_basic.pth", "--input", "fixtures/pictures", "--preprocess", "imagenet-raw"],
    ["scan", "."], ["scan", "fixtures"], ["scan", "missing.pth"], ["scan", "--rules"], ["scan", "nested.pth"],
    ["report", "small_basic.pth", "-o", "OUT/r.html"], ["report", "small_basic.pth", "-o", "OUT/r.svg"],
    ["nested.pth"], ["small_basic.pth"], ["nested.pth", "small_basic.pth", "missing.pth"], ["info", "candidates.pth"],
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_output(decant, tmp_path, line):
    words = []
    for word in line:
        if word.startswith("fixtures"):
            words.append(str(ROOT / word))
        elif word.startswith("OUT/"):
            words.append(str(tmp_path / word.removeprefix("OUT/")))
        elif word == "." or word.endswith(".pth"):
            words.append(str(ROOT / TORCH / word))
        else:
            words.append(word)
    # The tool's own wrapper validates each output, too. This test is not to depend on it.
    finished = decant.attempt(*words, "--json", validates=False)
    assert finished.status in (0, 1, 2, 64)
    assert json_schemas.validate(words, finished.output)


def variants(document):
    """The document with one field removed, added or of another type, at every place that the contract describes."""
    for key in document:
        changed = copy.deepcopy(document)
        del changed[key]
        yield f"without {key}", changed
    yield "with another field", {**document, "another": 1}
    yield "schema 2", {**document, "schema": 2}


def test_schemas_refuse(decant):
    finished = decant.attempt("verify", ROOT / TORCH / "small_basic.pth", "--json", validates=False)
    [document] = json_schemas.validate(["verify"], finished.output)
    optional = {"left_out"}
    count = 0
    for what, changed in variants(document):
        if what.removeprefix("without ") in optional:
            continue
        count += 1
        assert not json_schemas.validator("verify").is_valid(changed), what
    assert count > 15
