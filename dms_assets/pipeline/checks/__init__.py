"""Asset checks of the tables, and when a table is held."""
