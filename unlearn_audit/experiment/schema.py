"""The JSON Schema of a study's configuration, for editors: what may stand where, with the bounds of numbers."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from unlearn_audit.experiment.config import MethodConfig, StudyConfig
from unlearn_audit.methods import registry as methods

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """Return the schema; what two keys mean together, and whether they fit the data, only a run can tell."""
    schema = TypeAdapter(StudyConfig).json_schema(schema_generator=_Generator)
    for name, described in schema["$defs"].items():
        if name.endswith("Config") or name == "Policy":
            described["additionalProperties"] = False
    for method in methods.names():
        schema["$defs"][method] = _entry(method, schema["$defs"])
    entries: dict[str, Any] = {"not": {"required": ["method"]}, "type": ["object", "boolean", "null"]}
    choices = [{"$ref": f"#/$defs/{method}"} for method in methods.names()]
    schema["properties"]["methods"]["additionalProperties"] = {"anyOf": [*choices, entries]}
    return {"$schema": DRAFT, "title": "A study of unlearn-audit", **schema, "additionalProperties": False}


class _Generator(GenerateJsonSchema):
    """Takes entries of methods for anything: their keys depend on the method, and are described beside."""

    def function_plain_schema(self, schema: Any) -> dict[str, Any]:
        """Describe what a function checks: nothing is known of it."""
        return {}


def _entry(method: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Describe the entry of one method, and add to the definitions what it refers to."""
    kind = MethodConfig.entry_type({"method": method})
    entry: dict[str, Any] = TypeAdapter(kind).json_schema()
    definitions.update({name: each for name, each in entry.pop("$defs", {}).items() if name not in definitions})
    entry["properties"]["method"] = {"const": method}
    entry["properties"]["search"]["anyOf"].append({"const": "default"})
    return {**entry, "title": method, "required": ["method"], "additionalProperties": False}
