"""The free memory of this machine, or of the container that limits this process."""

from __future__ import annotations

from pathlib import Path

SYSTEM_FILE = Path("/proc/meminfo")
CONTAINER_FOLDER = Path("/sys/fs/cgroup")
BYTES_PER_KIBIBYTE = 1024


def read_free_memory(
    system_file: Path = SYSTEM_FILE, container_folder: Path = CONTAINER_FOLDER
) -> int | None:
    """Return the available memory in bytes, or None if the system does not report it.

    Args:
        system_file: Linux's table of the memory.
        container_folder: folder of the limits of this process (cgroup v2).
    """
    if not system_file.exists():
        return None
    table = dict(line.split(":", 1) for line in system_file.read_text("ascii").splitlines())
    free_bytes = int(table["MemAvailable"].split()[0]) * BYTES_PER_KIBIBYTE
    limit_file = container_folder / "memory.max"
    limit = limit_file.read_text("ascii").strip() if limit_file.exists() else "max"
    if limit == "max":
        return free_bytes
    used_bytes = int((container_folder / "memory.current").read_text("ascii"))
    return min(free_bytes, max(0, int(limit) - used_bytes))
