"""`posecast eval`: the networks as shipped, measured on data they have never seen. One file a suite.

Every suite is a function from a `Request` to a `Result`; `suites` lists them, `report` writes docs/accuracy.md.
"""
