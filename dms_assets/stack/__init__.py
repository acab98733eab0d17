"""A local stack: the processes that together are the platform on one machine, started and stopped by their handles."""
