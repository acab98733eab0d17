"""Errors of the data plane, by what should happen next, and errors of the API."""

from __future__ import annotations

from dms_assets.model.names import TableName


class TaskError(Exception):
    """The task cannot go on until somebody acts: it becomes `failed`, the message names cause and remedy."""


class TableError(Exception):
    """One table cannot go on; the others can. TableErrorPolicy says whether it is suspended or the task fails."""

    def __init__(self, table: TableName, reason: str) -> None:
        super().__init__(f"Table {table}: {reason}")
        self.table = table
        self.reason = reason


class RecoverableError(Exception):
    """The source or target cannot be reached just now: the task tries again."""


class TaskStoppedError(Exception):
    """The task was asked to stop while it worked on something that may be given up."""


class ApiFault(Exception):  # noqa: N818 - DMS calls them faults
    """An error answer of the API: `code` goes into `__type`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(what: str, name: str) -> ApiFault:
    """ResourceNotFoundFault, as AWS words it."""
    return ApiFault("ResourceNotFoundFault", f"{what} {name} not found.")


def invalid_state(message: str) -> ApiFault:
    """InvalidResourceStateFault."""
    return ApiFault("InvalidResourceStateFault", message)


def invalid_combination(message: str) -> ApiFault:
    """InvalidParameterCombinationException (not in botocore's model: clients see a generic ClientError)."""
    return ApiFault("InvalidParameterCombinationException", message)


def invalid_value(message: str) -> ApiFault:
    """InvalidParameterValueException (not in botocore's model)."""
    return ApiFault("InvalidParameterValueException", message)
