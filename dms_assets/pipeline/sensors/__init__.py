"""Sensors of the outside world: the source, DMS, landing."""
