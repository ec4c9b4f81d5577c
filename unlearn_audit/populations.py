"""The three populations of examples, always reported apart: in one place, in the order of every report."""

POPULATIONS = ("retain", "forget", "test")
RETAIN, FORGET, TEST = range(len(POPULATIONS))
