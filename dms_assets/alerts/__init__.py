"""Alerts: what is wrong, once per cause, told to sinks until it is over. Knows no Dagster."""
