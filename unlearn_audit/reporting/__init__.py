"""What people see and share: HTML, plots, model card, Hub."""
