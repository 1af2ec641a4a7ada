"""`posecast calibrate`: the camera of a venue, from a printed board to a camera file."""
