"""The PostgreSQL side of Local DMS: connections, catalog, publications, slots, reading."""
