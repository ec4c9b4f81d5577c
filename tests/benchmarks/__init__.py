"""Benchmarks: ratios to named alternatives, measured side by side. `python -m tests.benchmarks` runs them."""
