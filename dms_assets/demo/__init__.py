"""A source to try the platform on: an embedded PostgreSQL, a fictional schema, its data and a live workload."""
