"""Commands that are too long for harness/cli.py, one module each."""
