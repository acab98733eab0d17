"""Source database engines the platform knows by name, and which of them have a type map."""

from enum import StrEnum


class Engine(StrEnum):
    """A source database engine, spelled as in AWS DMS endpoints (`EngineName`)."""

    POSTGRES = "postgres"
    ORACLE = "oracle"
    SQLSERVER = "sqlserver"
    MYSQL = "mysql"


class EngineNotSupportedError(ValueError):
    """The engine is known, but the part asked for is not there yet."""

    def __init__(self, engine: Engine, part: str, supported: list[Engine]) -> None:
        names = ", ".join(sorted(supported))
        super().__init__(
            f"{part} is not available for engine '{engine}' yet; it is for: {names}. "
            f"Declare the source with one of these, or add {part} for '{engine}'."
        )
