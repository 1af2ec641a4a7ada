"""Training recipes, one file each, readable top to bottom."""
