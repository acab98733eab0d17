"""The web server of a stack: the stock Dagster UI behind a guard, and pages of our own."""
