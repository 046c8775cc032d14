"""Trials of the harness itself: comparisons of which the truth is known, and how often it finds it."""
