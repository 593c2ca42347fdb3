import pytest

from llm.providers.gemini_schema import convert


def test_says_objects_lists_and_choices_in_gemini_words():
    schema = {
        "title": "Proposal",
        "type": "object",
        "properties": {
            "sql": {"type": "string", "description": "One SELECT.", "minLength": 1},
            "kind": {"enum": ["table", "chart"]},
            "steps": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        },
        "required": ["sql"],
        "additionalProperties": False,
    }
    assert convert(schema) == {
        "type_": "OBJECT",
        "properties": {
            "sql": {"type_": "STRING", "description": "One SELECT."},
            "kind": {"type_": "STRING", "enum": ["table", "chart"], "format_": "enum"},
            "steps": {"type_": "ARRAY", "items": {"type_": "INTEGER"}, "min_items": 1, "max_items": 3},
        },
        "required": ["sql"],
    }


@pytest.mark.parametrize("schema", [{"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}])
def test_says_or_null_as_nullable(schema):
    assert convert(schema) == {"type_": "STRING", "nullable": True}


def test_writes_references_out():
    schema = {"$defs": {"Name": {"type": "string"}}, "type": "array", "items": {"$ref": "#/$defs/Name"}}
    assert convert(schema) == {"type_": "ARRAY", "items": {"type_": "STRING"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}, "$ref": "#/$defs/Tree"},
        {"$ref": "#/$defs/Unknown"},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": ["string", "integer"]},
        {"enum": [1, 2]},
        {"type": "object"},
        {"type": "array"},
        {},
    ],
    ids=["endless", "dangling", "union", "two types", "numbers as choices", "any object", "any list", "anything"],
)
def test_gives_up_on_what_gemini_cannot_be_told(schema):
    assert convert(schema) is None
