"""Dagster: the DmsSource component, assets, checks, sensors and automation."""
