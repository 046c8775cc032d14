"""Two versions of an implementation against each other: verdicts, sides, and how the two are measured."""
