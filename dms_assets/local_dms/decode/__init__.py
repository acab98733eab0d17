"""The columnar decoder: PostgreSQL's binary values, as bytes and offsets, to Arrow arrays, a column at a time.

PostgreSQL sends the same bytes for a value in `record_send` and in `pgoutput` with `binary 'true'`, so loads and
changes share every line of this package, and a value cannot differ between them.
"""
