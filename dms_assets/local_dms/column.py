"""A source column as the data plane sees it, and the options of an endpoint that change how it is written."""

from __future__ import annotations

from dataclasses import dataclass

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.postgres_types import is_lob, postgres_type


@dataclass(frozen=True, slots=True)
class PgType:
    """A row of pg_type, domains resolved: `oid` is the declared type's, the rest the base type's.

    `output` is the base type's output function, quoted and qualified; `has_binary` tells whether it has a binary form.
    """

    oid: int
    name: str
    typtype: str
    category: str
    output: str
    has_binary: bool
    base_oid: int
    domain_typmod: int = -1


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What of PostgreSQLSettings and the task settings changes values (defaults are DMS's).

    `lob_limit` is in bytes, None when LOBs are not limited; `money_digits` are the places of the source's currency.
    """

    unbounded_numeric_as_string: bool = False
    boolean_as_boolean: bool = False
    trim_char: bool = True
    lob_limit: int | None = 32 * 1024
    money_digits: int = 2


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column of a source table: `typmod` as in pg_attribute, or the domain's."""

    name: str
    type: PgType
    typmod: int

    def logical(self, options: SourceOptions) -> LogicalType:
        """Its type in Parquet."""
        found, _ = postgres_type(
            self.type.name,
            self.typmod,
            self.type.typtype,
            self.type.category,
            unbounded_numeric_as_string=options.unbounded_numeric_as_string,
            boolean_as_boolean=options.boolean_as_boolean,
        )
        return found

    @property
    def is_lob(self) -> bool:
        """Whether LobMaxSize applies."""
        return is_lob(self.type.name, self.typmod, self.type.typtype, self.type.category)
