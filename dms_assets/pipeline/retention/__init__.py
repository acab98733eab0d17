"""The daily job that keeps the disk bounded."""
