"""Recordings of runs: MCAP files with every public message, complete in themselves, readable after any death."""
