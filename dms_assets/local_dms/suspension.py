"""Errors of one table: told apart from those of the task, and judged by the task's error policies (dms.md 4.10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager.dbapi
import psycopg

from dms_assets.dms.table_mappings import TableMappingError
from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.decode.cells import DecodeError
from dms_assets.local_dms.faults import RecoverableError, TableError, TaskError
from dms_assets.local_dms.postgres.source import explain
from dms_assets.local_dms.settings import OnError
from dms_assets.local_dms.tables import ERROR
from dms_assets.model.names import TableName


@contextmanager
def table_errors(context: TaskContext, table: TableName) -> Iterator[None]:
    """Turn what goes wrong with one table's rows or definition into TableError.

    A value that cannot be read is a data error: with DataErrorPolicy STOP_TASK it raises TaskError. Under the other
    policies it suspends its table, as no row is left out without a word. Connection errors stay RecoverableError.
    """
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.dbapi.Error) as error:
        explained = explain(error, str(context.source))
        if isinstance(explained, RecoverableError):
            raise explained from error
        raise TableError(table, str(explained)) from error
    except DecodeError as error:
        if context.settings.on_data_error is OnError.STOP:
            raise TaskError(f"Table {table}: {error} (DataErrorPolicy STOP_TASK).") from error
        raise TableError(table, str(error)) from error
    except TableMappingError as error:
        raise TableError(table, f"table mappings: {error}") from error


def suspend(context: TaskContext, error: TableError) -> None:
    """Suspend a table: its state is `Table error`, and nothing of it is written until it is reloaded.

    Raises TaskError if the policy is to stop the task.
    """
    if context.settings.on_table_error is OnError.STOP:
        raise TaskError(f"{error} (TableErrorPolicy STOP_TASK).") from error
    context.store.update_table(context.arn, error.table, TableState=ERROR)
    context.say(f"{error}. The table is suspended; remove the cause and reload it (ReloadTables)", "failure")
