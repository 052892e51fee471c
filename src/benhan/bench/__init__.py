"""Speed, measured: each figure beside a limit measured in the same run, so that ratios hold on any machine.

``run(names)`` yields :class:`Result`; ``BENCHES`` names them all. Nothing here is a test: no figure fails a build.
"""

from benhan.bench.measure import Result
from benhan.bench.suite import BENCHES, run

__all__ = ["BENCHES", "Result", "run"]
