"""`python -m unlearn_audit` is `unlearn-audit`."""

import runpy

runpy.run_module("unlearn_audit.cli", run_name="__main__")
