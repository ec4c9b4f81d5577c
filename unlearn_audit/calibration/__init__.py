"""Does a verdict hold its error rate? Measured on a pool of real retrained models, and by simulation."""

from unlearn_audit.calibration.pool import PoolSize, load_pool
from unlearn_audit.calibration.selftest import SelfTest, selftest
from unlearn_audit.calibration.study import Calibration, calibrate

__all__ = ["Calibration", "PoolSize", "SelfTest", "calibrate", "load_pool", "selftest"]
