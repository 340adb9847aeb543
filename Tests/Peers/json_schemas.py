"""Validates JSON output against docs/json. Every field must be described there, although the schemas allow more:
fields may be added to the contract, and a test must say so."""

import json
from functools import cache
from pathlib import Path

import jsonschema

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "json"
COMMANDS = {"ls": "inspect", "synthesize": "convert", "info": "summary"}
NAMES = sorted(path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json"))
# Validating takes a second for a megabyte. Larger documents have the same fields.
LARGEST = 300_000


def closed(schema):
    """The schema with every object closed to fields that it does not list."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        result["additionalProperties"] = False
    return result


def schema(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.schema.json").read_text())


@cache
def validator(name: str):
    return jsonschema.Draft202012Validator(closed(schema(name)))


def name_of(arguments: list[str], document: dict) -> str:
    """The schema of the document that a command line printed."""
    if "error" in document:
        return "error"
    for option in ("architectures", "dialects", "rules"):
        if f"--{option}" in arguments:
            return option
    command = COMMANDS.get(arguments[0], arguments[0])
    return command if command in NAMES else "summary"


def validate(arguments, output: str) -> list[dict]:
    """Validates the document, or each line of JSON Lines, that a command line with --json printed."""
    arguments = [str(argument) for argument in arguments]
    try:
        documents = [json.loads(output)]
    except json.JSONDecodeError:
        documents = [json.loads(line) for line in output.splitlines()]
    for document in documents:
        name = name_of(arguments, document)
        errors = sorted(validator(name).iter_errors(document), key=lambda error: list(error.path))
        assert not errors, f"{name}: {errors[0].json_path}: {errors[0].message[:500]}\n{arguments}"
    return documents
