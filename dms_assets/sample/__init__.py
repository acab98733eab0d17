"""The sample source: an embedded PostgreSQL with a fictional probation service, and a workload that changes it."""
