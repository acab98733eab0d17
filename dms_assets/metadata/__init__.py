"""Metadata of sources: reflection, immutable versions, drift."""
