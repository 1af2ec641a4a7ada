"""A user's own data sets as training shards, and official checkpoints as starting points. One file a source."""
