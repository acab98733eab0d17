"""Proof that curated is what the source was: both read independently, value by value, and compared as multisets."""
