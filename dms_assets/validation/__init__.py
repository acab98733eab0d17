"""Validation: metadata -> rules, safe reading of untrusted files in a child process, verdict and report."""
