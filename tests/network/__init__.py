"""Networks that are slow, break, and swallow: between Local DMS and its source, and between the lake and S3."""
