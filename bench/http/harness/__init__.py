"""The HTTP benchmark: `bench/http/README.md` says what it measures, `run.py` runs it."""
