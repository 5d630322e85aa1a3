from pipeline.evidence.power import power_row


def test_power_says_what_is_at_hand_and_what_would_do() -> None:
    part = {"n": 90, "groups": 9, "gain": {"bound": -0.02}}
    row = power_row("gain of s1", "val", part, 14)
    assert (row["groups"], row["groups_needed"], row["enough"], row["bound"]) == (9, 14, False, -0.02)
    assert power_row("gain of s1", "val", part, 9)["enough"] is True
    assert power_row("gain of s1", "test", {**part, "gain": None}, None)["enough"] is None
