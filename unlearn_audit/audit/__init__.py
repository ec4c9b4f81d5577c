"""The audit: from saved predictions to a report with a verdict. No model is needed here."""
