"""What a measurement ran on."""

import platform
from pathlib import Path

from detectors.models.transformer import cores


def machine() -> str:
    """Return the processor, its cores and Python, as one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return f"{model}, {cores()} cores, {platform.system()}, Python {platform.python_version()}"
