"""Bodies in free fall: what gravity tells of where they are, and what a dive was. NumPy only, no file, no socket."""
