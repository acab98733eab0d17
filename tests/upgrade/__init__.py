"""What an earlier release stored is still read."""
