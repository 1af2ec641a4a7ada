"""The six stages, one module each: pure computation, no socket, clock or file."""
