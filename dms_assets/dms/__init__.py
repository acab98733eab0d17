"""AWS DMS from the caller's side: table mappings, settings, provisioning, and reading task state through boto3."""
