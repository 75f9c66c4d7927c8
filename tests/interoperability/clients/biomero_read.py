"""What BIOMERO reads in descriptors: a list of them on stdin, for each ``{"fault": text}`` or what it understood."""

import json
import sys
from typing import Any

from biomero.schema_parsers import WorkflowDescriptorParser
from biomero_schema.models import WorkflowSchema


def read(descriptor: Any) -> dict[str, Any]:
    """One descriptor in BIOMERO's own form, in which its type, flag and default of every input are told."""
    try:
        if str(descriptor.get("schema-version")).startswith("biomero"):
            WorkflowSchema.model_validate(descriptor)
        return WorkflowDescriptorParser.parse_descriptor(descriptor).model_dump(by_alias=True)
    # Whatever it raises, its user sees no form.
    except Exception as error:
        return {"fault": str(error) or type(error).__name__}


print(json.dumps([read(descriptor) for descriptor in json.load(sys.stdin)]))
