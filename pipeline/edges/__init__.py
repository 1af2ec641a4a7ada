"""Consumers of published poses at the edge of the pipeline: recordings, overlays, plots."""
