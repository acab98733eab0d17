"""One module for each row: it names a ROW, whose `measure` does it on real parts."""
