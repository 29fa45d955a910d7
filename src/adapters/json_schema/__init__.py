"""JSON Schema, by the library jsonschema-rs in processes of its own."""

from adapters.json_schema.checker import JsonSchemaChecker

__all__ = ["JsonSchemaChecker"]
