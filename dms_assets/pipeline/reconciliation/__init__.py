"""How far the lake is complete, its comparison with the live source, and the reload that repairs."""
