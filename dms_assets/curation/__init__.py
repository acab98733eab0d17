"""Curation: the dbt project's Python side. Models from metadata, sources at one snapshot, builds, the read copy."""
