from pathlib import Path

from pipeline.storage.free_memory import read_free_memory


def _write_files(folder: Path, limit: str, used_bytes: int) -> None:
    (folder / "meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 3000 kB\n")
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used_bytes}\n")


def test_the_memory_of_the_system_is_free_without_a_limit(tmp_path: Path) -> None:
    assert read_free_memory(tmp_path / "absent", tmp_path) is None
    _write_files(tmp_path, "max", 999)
    assert read_free_memory(tmp_path / "meminfo", tmp_path) == 3000 * 1024
    assert read_free_memory(tmp_path / "meminfo", tmp_path / "absent") == 3000 * 1024


def test_the_limit_of_a_container_bounds_the_free_memory(tmp_path: Path) -> None:
    for limit, used_bytes, free_bytes in ((5000, 1000, 4000), (5000, 6000, 0)):
        _write_files(tmp_path, str(limit), used_bytes)
        assert read_free_memory(tmp_path / "meminfo", tmp_path) == free_bytes
