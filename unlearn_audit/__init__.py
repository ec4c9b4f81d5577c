"""Audit machine unlearning: how far an unlearned model is from retrained ones, by proximity to the forget set."""

__version__ = "0.1.0"
