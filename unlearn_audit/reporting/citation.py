"""What to cite: the paper of the effect that an audit looks for, and this package."""

from __future__ import annotations

from unlearn_audit import __version__

PAPER = "https://arxiv.org/abs/2605.31317"
BIBTEX = f"""\
@misc{{dolgova2026forgetting,
  author = {{P. Dolgova and S. U. Stich}},
  title = {{Forgetting Has Neighbors: Localized Collateral Forgetting in Machine Unlearning}},
  year = {{2026}},
  eprint = {{2605.31317}},
  archiveprefix = {{arXiv}},
  url = {{{PAPER}}}
}}

@software{{unlearn-audit,
  title = {{unlearn-audit}},
  version = {{{__version__}}},
  license = {{Apache-2.0}}
}}"""
