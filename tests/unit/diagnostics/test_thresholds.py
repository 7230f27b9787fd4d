from pathlib import Path

import pytest

from medprobe.diagnostics.thresholds import HealthThresholds, ThresholdError, load_thresholds

BUILTIN = {"vision": 0.75, "connector": 0.8, "llm": 0.8, "answer": 0.8}


def test_the_built_in_margins() -> None:
    assert load_thresholds().resolve("any", "any") == BUILTIN


def test_a_users_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(
        "[retention]\nllm = 0.9\n"
        '[[override]]\nmodel = "m"\nretention = {vision = 0.6, llm = 0.5}\n'
        '[[override]]\ndataset = "d"\nretention = {vision = 0.4}\n'
        '[[override]]\nmodel = "m"\ndataset = "e"\nretention = {answer = 0.1}\n'
    )
    found = load_thresholds(path)
    assert found.resolve("x", "x") == BUILTIN | {"llm": 0.9}
    assert found.resolve("m", "x") == BUILTIN | {"vision": 0.6, "llm": 0.5}
    assert found.resolve("m", "d") == BUILTIN | {"vision": 0.4, "llm": 0.5}
    assert found.resolve("m", "e") == BUILTIN | {"vision": 0.6, "llm": 0.5, "answer": 0.1}
    assert found.resolve("x", "e") == BUILTIN | {"llm": 0.9}


def test_the_accepted_loss_and_the_health_limits_have_overrides_too(tmp_path: Path) -> None:
    assert load_thresholds().margins("any", "any").minimum_effect == 0.02
    assert load_thresholds().health_limits("any", "any") == HealthThresholds()
    path = tmp_path / "t.toml"
    path.write_text(
        "[regression]\nminimum_effect = 0.03\n[health]\nleast = {vision = 0.9}\nlargest_drop = {llm_last = 0.2}\n"
        '[[override]]\nmodel = "m"\nregression = {minimum_effect = 0.05}\n'
        '[[override]]\ndataset = "d"\nhealth = {least = {vision = 0.8, connector = 0.7}}\n'
    )
    found = load_thresholds(path)
    assert [found.margins(*pair).minimum_effect for pair in (("x", "x"), ("m", "d"))] == [0.03, 0.05]
    assert found.health_limits("m", "x") == HealthThresholds(least={"vision": 0.9}, largest_drop={"llm_last": 0.2})
    assert found.health_limits("m", "d").least == {"vision": 0.8, "connector": 0.7}
    assert found.resolve("m", "d") == BUILTIN


def test_the_margins_of_a_class_have_a_default_and_overrides(tmp_path: Path) -> None:
    builtin = load_thresholds().margins("any", "any")
    assert [builtin.of("sensitivity", name) for name in ("normal", "malignant", "Malignant")] == [0.05, 0.02, 0.02]
    assert [builtin.of("specificity", name) for name in ("normal", "malignant")] == [0.05, 0.05]
    path = tmp_path / "t.toml"
    path.write_text(
        "[sensitivity]\nBenign = 0.1\n[specificity]\ndefault = 0.2\n"
        '[[override]]\nmodel = "m"\nsensitivity = {malignant = 0.01, default = 0.3}\n'
    )
    found = load_thresholds(path)
    assert [found.margins("x", "x").of("sensitivity", name) for name in ("normal", "malignant", "benign")] == [
        0.05, 0.02, 0.1
    ]  # fmt: skip
    assert [found.margins("m", "x").of("sensitivity", name) for name in ("normal", "malignant", "benign")] == [
        0.3, 0.01, 0.1
    ]  # fmt: skip
    assert found.margins("m", "x").of("specificity", "malignant") == 0.2
    path.write_text('[sensitivity]\nMalignant = 0.03\n[[override]]\nmodel = "m"\nsensitivity = {malignant = 0.01}\n')
    found = load_thresholds(path)
    assert [found.margins(m, "x").of("sensitivity", "malignant") for m in ("x", "m")] == [0.03, 0.01]


def test_the_margin_of_strata_may_be_a_data_sets_own(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("[subgroups]\nmargin = 0.2\n[[override]]\ndataset = 'd'\nsubgroups = {margin = 0.05}\n")
    found = load_thresholds(path)
    assert (found.subgroup_margin("m", "d"), found.subgroup_margin("m", "other")) == (0.05, 0.2)
    assert load_thresholds().subgroup_margin("m", "d") == 0.1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[retention\n", "is no TOML"),
        (b"\xff\xfe[retention]", "is no TOML"),
        (b"[retention]\nvision = 0\n", "is wrong at retention.vision: .*greater than 0"),
        (b"[retention]\nvision = 1.5\n", "is wrong at retention.vision: .*less than or equal to 1"),
        (b"[retention]\ntower = 0.5\n", "is wrong at retention.tower"),
        (b"[retentions]\nvision = 0.5\n", "is wrong at retentions"),
        (b"[regression]\nminimum_effect = 0\n", "is wrong at regression.minimum_effect: .*greater than 0"),
        (b"[regression]\nplaces = []\n", "is wrong at regression.places: .*at least 1 item"),
        (b"[regression]\nplaces = ['tower']\n", "is wrong at regression.places.0: .*'vision'"),
        (b"[regression]\nchanged_answers = 1\n", "is wrong at regression.changed_answers: .*less than 1"),
        (b"[sensitivity]\nmalignant = 0\n", "is wrong at sensitivity.malignant: .*greater than 0"),
        (b"[specificity]\nmalignant = 2\n", "is wrong at specificity.malignant: .*less than 1"),
        (b"[health]\nleast = {answer = 0.5}\n", "is wrong at health.least.answer"),
        (
            b"[[override]]\nmodel = 'm'\n",
            "is wrong at override.0: .*names retention, regression, .* or health",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    with pytest.raises(ThresholdError, match=f"t.toml {complaint}"):
        load_thresholds(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThresholdError, match=r"none.toml cannot be read: No such file"):
        load_thresholds(tmp_path / "none.toml")


def test_what_is_required_is_named_by_tables_or_in_quotes_and_by_data_set(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(
        '[least]\nsensitivity.Malignant = 0.9\n"specificity.default" = 0.7\n'
        '[[override]]\ndataset = "d"\nleast = {sensitivity = {malignant = 0.8}, specificity = {normal = 0.6}}\n'
    )
    thresholds, classes = load_thresholds(path), ["normal", "malignant"]
    assert thresholds.require
    assert not load_thresholds().require
    assert load_thresholds().least_of("m", "d", classes) == {}
    assert thresholds.least_of("m", "e", classes) == {
        "sensitivity.malignant": 0.9,
        "specificity.normal": 0.7,
        "specificity.malignant": 0.7,
    }
    assert thresholds.least_of("m", "d", classes) == {
        "sensitivity.malignant": 0.8,
        "specificity.normal": 0.6,
        "specificity.malignant": 0.7,
    }
    with pytest.raises(
        ThresholdError, match=r"requires sensitivity.malignant, .*; its measures are auroc, .*sensitivity.a, "
    ):
        thresholds.least_of("m", "e", ["a", "b"])
    path.write_text("[least]\nsensitivity.malignant = 90\n")
    with pytest.raises(ThresholdError, match=r"is wrong at least.sensitivity.malignant: .*less than or equal to 1"):
        load_thresholds(path)


def test_a_margin_is_built_in_until_a_team_writes_it(tmp_path: Path) -> None:
    builtin = load_thresholds().margins("m", "d")
    assert (builtin.places, builtin.changed_answers) == (("answer",), 0.05)
    assert builtin.built_in == {"minimum_effect", "sensitivity.default", "sensitivity.malignant", "specificity.default"}
    path = tmp_path / "t.toml"
    # The same numbers as built in: they count as written all the same.
    path.write_text("[regression]\nminimum_effect = 0.02\n[sensitivity]\ndefault = 0.05\n")
    own = load_thresholds(path).margins("m", "d")
    assert "minimum_effect" not in own.built_in
    assert [own.is_built_in("sensitivity", name) for name in ("Malignant", "benign")] == [True, False]
    assert own.is_built_in("specificity", "benign")
    path.write_text(
        '[regression]\nplaces = ["answer", "llm"]\n'
        '[[override]]\nmodel = "m"\nregression = {changed_answers = 0.1}\nspecificity = {Benign = 0.05}\n'
    )
    own, other = (load_thresholds(path).margins(model, "d") for model in ("m", "x"))
    assert (own.places, own.changed_answers, own.minimum_effect) == (("answer", "llm"), 0.1, 0.02)
    assert "minimum_effect" in own.built_in
    assert [m.is_built_in("specificity", "benign") for m in (own, other)] == [False, True]
    asked = other.with_minimum_effect(0.03)
    assert (asked.minimum_effect, "minimum_effect" in asked.built_in) == (0.03, False)
