from pipeline.engine.quick_preset import QUICK_OVERRIDES
from pipeline.engine.runner import load_config


def test_a_first_look_has_two_arms_of_one_seed() -> None:
    stages = load_config(None, QUICK_OVERRIDES).stages
    full = load_config(None).stages
    assert (stages["retrain"].seeds, stages["retrain"].generic) == (1, False)
    assert stages["probe"].max_images < full["probe"].max_images
    assert stages["explain"].matched_images < full["explain"].matched_images


def test_a_setting_of_the_user_wins() -> None:
    settings = load_config(None, [*QUICK_OVERRIDES, "retrain.seeds=3"])
    assert settings.stages["retrain"].seeds == 3
