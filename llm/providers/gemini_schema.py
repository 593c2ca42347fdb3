"""JSON schemas in the words that Gemini's API has for them.

The API knows a part of JSON schema (https://ai.google.dev/api/caching#Schema): no references, unions or limits on
texts and numbers. What has no word there is left out, which only loosens the schema; answers are validated anyway.
"""

from collections.abc import Mapping
from typing import Any

_TYPES = {"string", "number", "integer", "boolean", "array", "object"}


class Inexpressible(Exception):
    """The schema, or a part of it that cannot be left out, has no counterpart."""


def convert(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema as fields of `protos.Schema`, or None where Gemini cannot be told."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    try:
        return _node(schema, definitions, ())
    except Inexpressible:
        return None


def _node(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        # A schema that contains itself has no end when it is written out.
        if name in path or name not in definitions:
            raise Inexpressible
        return _node(definitions[name], definitions, (*path, name))
    branches, nullable = _branches(schema)
    if len(branches) != 1:
        raise Inexpressible
    if branches[0] is not schema:
        return {**_node(branches[0], definitions, path), "nullable": nullable}
    return _plain(schema, definitions, path)


def _branches(schema: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], bool]:
    """Split off "or null", which Gemini says with a field of its own."""
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
        return branches, len(branches) < len(schema["anyOf"])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        return [{**schema, "type": kind} for kind in others], len(others) < len(kinds)
    return [schema], False


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    kind = schema.get("type") or ("string" if values else None)
    # Gemini's lists of choices are lists of texts.
    if kind not in _TYPES or (values and not all(isinstance(value, str) for value in values)):
        raise Inexpressible
    node: dict[str, Any] = {"type_": kind.upper()}
    if values:
        node |= {"enum": list(values), "format_": "enum"}
    if "description" in schema:
        node["description"] = schema["description"]
    if kind == "array":
        node["items"] = _node(schema.get("items", {}), definitions, path)
        node |= {ours: schema[theirs] for ours, theirs in _LENGTHS.items() if theirs in schema}
    if kind == "object":
        properties = schema.get("properties", {})
        # Gemini refuses an object without properties.
        if not properties:
            raise Inexpressible
        node["properties"] = {name: _node(each, definitions, path) for name, each in properties.items()}
        node["required"] = list(schema.get("required", ()))
    return node


_LENGTHS = {"min_items": "minItems", "max_items": "maxItems"}
