"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_vidrecon import __version__
from napari_vidrecon.errors import ConfigError

CPU_INFO = Path("/proc/cpuinfo")
SAME = ("cpu", "cores", "gpu", "torch", "numpy", "python", "napari_vidrecon")
"""What has to be the same for two measurements to stand in one table."""


def describe_machine() -> dict[str, Any]:
    """CPU, cores, threads, GPU, versions, date; plain values."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "napari_vidrecon": __version__,
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def require_same_machine(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to put results of two machines, or of two sizes, into one table.

    Raises
    ------
    ConfigError
        Naming the first difference.
    """
    if earlier["quick"] != now["quick"]:
        raise ConfigError("--from: expected results of the same sizes, found some with and some without --quick")
    for name in SAME:
        if earlier["machine"].get(name) != now["machine"][name]:
            raise ConfigError(
                f"--from: expected results of this machine, found {name} {earlier['machine'].get(name)} "
                f"instead of {now['machine'][name]}; measure all cases anew"
            )


def cpu_name() -> str:
    """The CPU's own name where the system tells it."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
