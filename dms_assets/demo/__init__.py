"""The demo: the whole platform on the sample source, headless, with a proof at the end."""
