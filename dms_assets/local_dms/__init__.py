"""Local DMS: a DMS-compatible service on loopback that moves real data from PostgreSQL to DMS-layout Parquet."""
