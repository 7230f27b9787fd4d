import pytest

from diagnostics.answers import parse, strip_thinking

CHEST = [["normal", "no pneumonia", "healthy"], ["pneumonia", "consolidation"]]
BREAST = [["benign"], ["malignant", "cancer"], ["normal"]]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("normal", 0),
        ("Pneumonia.", 1),
        ("**NORMAL**", 0),
        ("The image shows no pneumonia.", 0),
        ("No  Pneumonia", 0),
        ("There is a consolidation.", 1),
        ("This is not normal.", 1),
        ("There is no evidence of pneumonia.", 0),
        ("It isn't normal", 1),
        ("It isn\u2019t normal", 1),
        ("Pneumonia is ruled out.", 0),
        ("Pneumonia is not present.", 0),
        ("Pneumonia is seen, not normal.", 1),
        ("Negative for consolidation", 0),
        ("No, it is normal", 0),
        ("No. Pneumonia.", 1),
        ("No: pneumonia", 1),
        ("no。pneumonia", 1),
        ("no\uff0cpneumonia", 1),
        ("no\uff1apneumonia", 1),
        ("Pneumonia rather than normal", 1),
        ("\uff30neumonia", 1),
        ("normal or pneumonia", -1),
        ("abnormal", -1),
        ("bronchopneumonias", -1),
        ("I cannot tell.", -1),
        ("", -1),
        ("<think>normal? no, pneumonia</think>normal", 0),
        ("normal or so</think>pneumonia", 1),
        ("<unused94>thought pneumonia<unused95>normal", 0),
        ("<think>it looks normal", -1),
        ("<unused94>pneumonia perhaps", -1),
        ("It could be normal. <answer>pneumonia</answer>", 1),
        ("<answer>normal</answer> no: <answer>pneumonia</answer>", 1),
    ],
)
def test_two_classes(text: str, label: int) -> None:
    assert parse(text, CHEST) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("malignant", 1),
        ("not malignant", -1),
        ("not malignant but benign", -1),
        ("not malignant, benign", 0),
        ("benign, not malignant", 0),
        ("Neither benign nor malignant. Normal.", 2),
        ("breast cancer", 1),
        ("benign and cancer", -1),
    ],
)
def test_three_classes(text: str, label: int) -> None:
    assert parse(text, BREAST) == label


def test_names_without_spaces_between_words_are_found() -> None:
    names = [["\u6b63\u5e38"], ["\u80ba\u708e"]]
    assert parse("\u8fd9\u662f\u80ba\u708e\u3002", names) == 1
    assert parse("\u6b63\u5e38\u3002", names) == 0


def test_the_longer_name_wins_where_names_overlap() -> None:
    assert parse("small cell carcinoma", [["carcinoma"], ["small-cell carcinoma"]]) == 1
    assert parse("large cell carcinoma", [["carcinoma"], ["small-cell carcinoma"]]) == 0


def test_reasoning_that_never_ends_leaves_nothing() -> None:
    assert strip_thinking("<think>a b c").strip() == ""
    assert strip_thinking("<think>a</think> b").strip() == "b"
