"""AWS JSON 1.1: requests validated, answers shaped, both by botocore's model of DMS (dms.md 4.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

from dms_assets.local_dms.faults import ApiFault

TARGET_PREFIX = "AmazonDMSv20160101."
CONTENT_TYPE = "application/x-amz-json-1.1"

Handler = Callable[[dict[str, Any]], dict[str, Any]]


@cache
def service_model() -> botocore.model.ServiceModel:
    """botocore's model of DMS."""
    description = botocore.loaders.Loader().load_service_model("dms", "service-2")
    return botocore.model.ServiceModel(description, "dms")


def handle(target: str, body: bytes, handlers: Mapping[str, Handler]) -> tuple[int, bytes]:
    """Answer one request: status and body. Faults become error documents; other exceptions are the caller's."""
    try:
        return 200, json.dumps(_answer(target, body, handlers)).encode()
    except ApiFault as fault:
        return 400, json.dumps({"__type": fault.code, "message": fault.message}).encode()


def _answer(target: str, body: bytes, handlers: Mapping[str, Handler]) -> dict[str, Any]:
    name = target.removeprefix(TARGET_PREFIX)
    if name == target or name not in service_model().operation_names:
        raise ApiFault("UnknownOperationException", f"'{target}' is not an operation of AWS DMS.")
    if name not in handlers:
        known = ", ".join(sorted(handlers))
        raise ApiFault("UnknownOperationException", f"{name} is not available in Local DMS. Available: {known}.")
    operation = service_model().operation_model(name)
    request = _request(operation, body)
    answer = handlers[name](request)
    shape = operation.output_shape
    return _shaped(shape, answer, name) if shape is not None else {}


def _request(operation: botocore.model.OperationModel, body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except json.JSONDecodeError as error:
        raise ApiFault("SerializationException", f"The request is not JSON: {error}.") from error
    if not isinstance(request, dict):
        raise ApiFault("SerializationException", "The request is not a JSON object.")
    shape = operation.input_shape
    if shape is not None:
        report = botocore.validate.ParamValidator().validate(request, shape)
        if report.has_errors():
            raise ApiFault("ValidationException", report.generate_report())
    return request


def _shaped(shape: botocore.model.Shape, value: Any, place: str) -> Any:
    """The value with the members the shape has, times as epoch seconds, nulls left out."""
    if isinstance(shape, botocore.model.StructureShape):
        unknown = set(value) - set(shape.members)
        if unknown:
            raise TypeError(f"{place}: {shape.name} has no members {sorted(unknown)}")
        return {
            name: _shaped(shape.members[name], member, f"{place}.{name}")
            for name, member in value.items()
            if member is not None
        }
    if isinstance(shape, botocore.model.ListShape):
        return [_shaped(shape.member, item, place) for item in value]
    if isinstance(value, datetime):
        return value.timestamp()
    return value
