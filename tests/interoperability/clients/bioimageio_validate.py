"""bioimage.io's own validator: a list of descriptions on stdin, for each its status, and what is wrong."""

import json
import sys
from typing import Any

from bioimageio.spec import ValidationContext, validate_format


def validate(description: Any) -> dict[str, Any]:
    """One description; files and addresses in it are not looked up."""
    try:
        summary = validate_format(description, context=ValidationContext(perform_io_checks=False))
    # It has no summary of a description without its type or format.
    except ValueError as error:
        return {"status": "failed", "type": None, "errors": [str(error)]}
    errors = [f"{error.loc}: {error.msg}" for detail in summary.details for error in detail.errors]
    return {"status": summary.status, "type": summary.type, "errors": errors}


print(json.dumps([validate(description) for description in json.load(sys.stdin)]))
