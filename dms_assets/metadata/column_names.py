"""Column names that the change log cannot keep apart, or that are its own."""

from __future__ import annotations

from dms_assets.model.change_columns import PLATFORM_FIELDS
from dms_assets.model.names import INSIDE, folded
from dms_assets.model.table_metadata import TableMetadata


class ColumnNamesError(ValueError):
    """Columns of a table cannot be called what they are."""


def check_column_names(metadata: TableMetadata) -> None:
    """Raises ColumnNamesError, naming every column that is called like another one or like one of the platform's.

    A value would come out under the wrong column: nothing of such a shape of a table may be taken in.
    """
    known = {field.name: "the platform's own" for field in PLATFORM_FIELDS}
    wrong = []
    for column in metadata.columns:
        same = folded(column.name)
        other = f"those that begin with {INSIDE}" if same.startswith(INSIDE) else known.get(same)
        if other:
            wrong.append(f"'{column.name}' is taken for {other}")
        known[same] = f"'{column.name}'"
    if wrong:
        raise ColumnNamesError(
            f"table {metadata.name}: column {'; column '.join(wrong)}. Rename it in the source, or name it in "
            "exclude_columns and provision again; files that have it stay in quarantine, so reload the table then"
        )
