import pytest

from pipeline.data.adapters import list_adapters, load_adapter, load_simulator


def test_every_adapter_is_loaded_with_its_functions() -> None:
    names = list_adapters()
    assert names[-1] == "folder", "the least specific format is tried last"
    for name in names:
        adapter = load_adapter(name)
        assert callable(adapter.can_read)
        assert callable(adapter.read_images)


def test_an_unknown_adapter_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load_adapter("foldr")


def test_only_an_adapter_that_draws_images_is_a_simulator() -> None:
    assert "exposure" in load_simulator("gate").SIMULATED_CONDITIONS
    with pytest.raises(KeyError, match="folder"):
        load_simulator("folder")
