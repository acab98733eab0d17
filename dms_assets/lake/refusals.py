"""A catalog's refusal of a commit is not the end of it: the client may have repeated a request that was carried out.

pyiceberg takes CommitFailedException for proof that nothing was committed, and deletes the manifests it wrote. But
botocore repeats a request whose response was lost, and Glue refuses the second one, for the first moved the table:
the deleted manifests are then those of the current snapshot, and nobody can read the table any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse, Table


class CommitRefusedError(Exception):
    """The catalog refused a commit. Only the table can tell whether it did so before or after it carried it out."""


class _Catalog:
    """A catalog whose refusals are no proof of anything to pyiceberg."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def commit_table(self, *arguments: Any) -> CommitTableResponse:
        """As the catalog does it. Raises CommitRefusedError for CommitFailedException."""
        try:
            return self._catalog.commit_table(*arguments)
        except CommitFailedException as error:
            raise CommitRefusedError(str(error)) from error


@contextmanager
def refusals_prove_nothing(table: Table) -> Iterator[None]:
    """Inside, a commit of the table that is refused raises CommitRefusedError, and deletes no file.

    What a commit that truly was refused has written is left to `lake.orphans`.
    """
    catalog = table.catalog
    table.catalog = cast("Catalog", _Catalog(catalog))
    try:
        yield
    finally:
        table.catalog = catalog
