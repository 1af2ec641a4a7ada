"""The live path: stages as separate processes joined by ZeroMQ, their supervisor and the command line."""
