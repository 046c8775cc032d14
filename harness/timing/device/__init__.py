"""How long work on a GPU takes: one interface for the libraries that put it there."""
