"""The DMS API over HTTP: AWS JSON 1.1, checked and shaped by botocore's own model of the service."""
