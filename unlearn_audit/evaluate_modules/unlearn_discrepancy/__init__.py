"""The comparison `unlearn_discrepancy`: see its card, README.md."""
