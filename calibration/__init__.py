"""Frames of reference, cameras and the geometry between them."""
