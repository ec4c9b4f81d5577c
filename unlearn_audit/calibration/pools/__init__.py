"""Pools of predictions that come with the package: `unlearn-audit calibrate --build` makes them again."""
