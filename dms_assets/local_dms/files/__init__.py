"""What Local DMS writes: Parquet as DMS lays it out, made visible whole, in a folder or in S3."""
