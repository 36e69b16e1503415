"""The clock and the report that all peers in Python share."""

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

WARM_UP = 3
LEAST = 5


def process_seconds() -> float:
    """Since the start of this process, to a hundredth."""
    with open("/proc/self/stat") as file:
        started = int(file.read().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def memory(field: str) -> float:
    """Of `/proc/self/status`, MB."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024 / 1e6


class Measurement:
    """One workload in one engine. `base` is taken when everything is imported and nothing is built."""

    def __init__(self, engine: str, workload: str, seconds: float | None, threads: int, versions: dict[str, str]):
        self.engine, self.workload, self.seconds, self.threads = engine, workload, seconds, threads
        self.versions = {"python": platform.python_version(), **versions}
        self.base = memory("VmRSS")

    def run(self, step: Callable[[], float]) -> None:
        """Times `step`, which gives its loss or a logit when all its work is done, and prints what was found: once, or for
        each number of seconds on standard input."""
        first_value = step()
        first = process_seconds()
        for _ in range(WARM_UP):
            step()
        turns = [self.seconds] if self.seconds is not None else map(float, iter(sys.stdin.readline, ""))
        for seconds in turns:
            # The one before may have been long ago.
            step()
            times = []
            start = time.perf_counter()
            while len(times) < LEAST or time.perf_counter() - start < seconds:
                begin = time.perf_counter()
                value = step()
                times.append((time.perf_counter() - begin) * 1e3)
            if not math.isfinite(first_value) or not math.isfinite(value):
                raise ArithmeticError(f"values are not finite: {first_value}, {value}")
            self.report(
                {
                    "ms": statistics.median(times),
                    "min_ms": min(times),
                    "n": len(times),
                    "first_s": first,
                    "rss_mb": memory("VmHWM"),
                    "base_mb": self.base,
                    "first_value": first_value,
                    "last_value": value,
                }
            )

    def report(self, figures: dict[str, float]) -> None:
        """Prints figures with what they are of."""
        of = {"engine": self.engine, "workload": self.workload, "threads": self.threads, "versions": self.versions}
        print(json.dumps({**of, **figures}), flush=True)
