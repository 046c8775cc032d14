"""A run on many machines: the client plans, looks at what comes back, and stores; nodes of a dask cluster run it."""
