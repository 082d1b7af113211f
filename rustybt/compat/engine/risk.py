"""Risk of a run so far, day by day, to the bit what zipline's metrics say.

zipline hands all returns so far to `empyrical` every day and statistic. Where that sums from the
first day to the last, the sum of yesterday is carried on here; what needs all returns anew (they
are taken relative to a mean that moves) is computed by the same functions on the same arrays.
"""

import math
from typing import Any

import bottleneck
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DAYS = 252
_ROOT = math.sqrt(_DAYS)
_START = 100.0
#: Below it `empyrical` takes the variance of a benchmark for none.
_NO_VARIANCE = 1.0e-30


class RunningRisk:
    """Statistics of the returns so far.

    Parameters
    ----------
    benchmark : ndarray of float64, shape (sessions,)
        Returns of the benchmark, all finite.
    """

    def __init__(self, benchmark: Floats) -> None:
        self._benchmark = benchmark
        self._benchmark_sums = np.cumsum(benchmark).tolist()
        moving = np.flatnonzero(benchmark)
        #: Days at the start on which the benchmark stood still.
        self._still = int(moving[0]) if len(moving) else len(benchmark)
        self._sum = self._squares_below = 0.0
        self._least, self._most = math.inf, -math.inf
        self._growth, self._peak, self._drawdown = 1.0, _START, 0.0

    def add(self, returns: Floats) -> dict[str, Any] | None:
        """Take the last of the returns in; the statistics of all of them.

        Parameters
        ----------
        returns : ndarray of float64, shape (days,)
            One day longer than at the last call.

        Returns
        -------
        dict or None
            As zipline's packets have them; None from the day on whose numbers are not finite.
        """
        latest = float(returns[-1])
        self._sum += latest
        below = min(latest, 0.0)
        self._squares_below += below * below
        self._least, self._most = min(self._least, latest), max(self._most, latest)
        self._growth *= latest + 1.0
        level = self._growth * _START
        self._peak = max(self._peak, level)
        self._drawdown = min(self._drawdown, (level - self._peak) / self._peak)
        if not math.isfinite(self._sum + self._squares_below + level):
            return None
        found = self._ratios(returns)
        found["alpha"], found["beta"] = self._alpha_beta(returns)
        # The first day of all that falls is the deepest so far; one that rises is none.
        found["max_drawdown"] = self._drawdown
        return found

    def _ratios(self, returns: Floats) -> dict[str, Any]:
        days = len(returns)
        if days < 2:
            return dict.fromkeys(("algo_volatility", "sharpe", "sortino"))
        mean, deviation = self._sum / days, bottleneck.nanstd(returns, ddof=1)
        risk = math.sqrt(self._squares_below / days) * _ROOT
        varies = self._least != self._most and deviation != 0.0
        return {
            "algo_volatility": _finite(deviation * _DAYS**0.5),
            "sharpe": _finite(mean / deviation * _ROOT) if varies else None,
            "sortino": _finite(mean * _DAYS / risk) if risk != 0.0 else None,
        }

    def _alpha_beta(self, returns: Floats) -> tuple[Any, Any]:
        days = len(returns)
        if days < 2 or days <= self._still:
            return None, None
        benchmark = self._benchmark[:days]
        residual = benchmark - self._benchmark_sums[days - 1] / days
        covariance = bottleneck.nanmean(residual * returns)
        variance = bottleneck.nanmean(np.square(residual, out=residual))
        if not variance >= _NO_VARIANCE:
            return None, None
        beta = np.divide(covariance, variance)
        mean = bottleneck.nanmean(returns - beta * benchmark)
        alpha = np.power(np.add(mean, 1), _DAYS) - 1
        return (alpha if np.isfinite(alpha) else None), (None if np.isnan(beta) else beta)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
