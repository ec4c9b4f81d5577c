"""Judging: from predictions to an audit with a verdict. No model is needed here."""
