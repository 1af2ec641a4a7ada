"""A run in the browser: its pictures with their skeletons, the flight in space, its dives, and how it is."""
