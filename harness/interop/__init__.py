"""Files of other benchmark tools: read as runs that nobody judged, and written from runs."""
