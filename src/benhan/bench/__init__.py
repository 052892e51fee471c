"""Speed, measured: each figure beside a limit measured in the same run, so that ratios hold on any machine.

``run(names, sizes)`` yields :class:`Result`; ``BENCHES`` names them all. Nothing here is a test: no figure fails a build.
"""

from benhan.bench.measure import FULL, TINY, Result, Sizes
from benhan.bench.suite import BENCHES, run

__all__ = ["BENCHES", "FULL", "TINY", "Result", "Sizes", "run"]
