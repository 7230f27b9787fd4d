from pathlib import Path

import pytest

from diagnostics.thresholds import ThresholdError, load_thresholds

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


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[retention\n", "is no TOML"),
        (b"\xff\xfe[retention]", "is no TOML"),
        (b"[retention]\nvision = 0\n", "is wrong at retention.vision: .*greater than 0"),
        (b"[retention]\nvision = 1.5\n", "is wrong at retention.vision: .*less than or equal to 1"),
        (b"[retention]\ntower = 0.5\n", "is wrong at retention.tower"),
        (b"[retentions]\nvision = 0.5\n", "is wrong at retentions"),
        (b"[[override]]\nmodel = 'm'\n", "is wrong at override.0.retention: .*required"),
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
