"""The lake: object stores, the landing inbox, validated Iceberg tables and their atomic commit, archive, quarantine."""
