"""The preflight of a source: what must be so before DMS extracts it, and the statement that makes it so."""
