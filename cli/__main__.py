"""`python -m unlearn_audit.cli` is `unlearn-audit`."""

from .main import main

main()
