"""What can be wrong with a calibration, as a tree. Here alone, so that who only catches them loads no NumPy.

CalibrationError         a camera file, its numbers, or what a calibration was to be made from
└── CameraError          numbers that are no camera
"""


class CalibrationError(ValueError):
    """One line: where, what, and what is expected or to be done."""


class CameraError(CalibrationError):
    """Numbers that are no camera. One line: what, and what is expected."""
