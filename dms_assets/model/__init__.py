"""Pure data and pure rules of the platform: no I/O, no Dagster, no engine-specific code outside `engine`."""
