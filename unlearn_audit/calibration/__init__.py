"""Does a verdict hold its error rate? Measured on pools of real retrained models, and by simulation."""

from unlearn_audit.calibration.pool import PoolSize, load_pool
from unlearn_audit.calibration.selftest import SelfTest, selftest
from unlearn_audit.calibration.splits import SplitCalibration, calibrate_saved
from unlearn_audit.calibration.study import Calibration, calibrate

__all__ = [
    "Calibration",
    "PoolSize",
    "SelfTest",
    "SplitCalibration",
    "calibrate",
    "calibrate_saved",
    "load_pool",
    "selftest",
]
