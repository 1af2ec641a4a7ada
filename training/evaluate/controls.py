"""What else the suite `flight` measures: calibration, and tracking with and without gravity."""
