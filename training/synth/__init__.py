"""Synthetic athletes: bodies, motion, cameras, rendering and shards."""
