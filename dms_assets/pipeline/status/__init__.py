"""How every source and table is, for people and for machines."""
