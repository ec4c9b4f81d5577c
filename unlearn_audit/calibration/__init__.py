"""How often the answers are right: random audits drawn from pools of models of known nature."""

from unlearn_audit.calibration.own import own_pool
from unlearn_audit.calibration.pool import Pool, shipped_pool
from unlearn_audit.calibration.study import Calibration, calibrate

__all__ = ["Calibration", "Pool", "calibrate", "own_pool", "shipped_pool"]
