from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.extraction.answers import parse, refuses, strip_thinking

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
        ("<answer>pneumonia", 1),
        ("_Normal_", 0),
        ("non-normal", 1),
        ('{"answer": "pneumonia"}', 1),
        ('{"normal": false, "pneumonia": true}', 1),
        ("No consolidation, effusion or mass.", 0),
        ("No effusion, pneumonia or mass", 0),
        ("The lungs do not show effusion, consolidation or pneumonia.", 0),
        ("No abnormality is seen and the image is normal.", 0),
        ("There is no doubt that this is pneumonia.", 1),
        ("normal or pneumonia? PNEUMONIA", 1),
        ("Is it normal? No, pneumonia.", 1),
        ("normal?", -1),
        ("As an AI I think it is normal.", 0),
        ("I cannot give a diagnosis, but this looks normal.", 0),
        ("I cannot confirm pneumonia.", -1),
        ("Pneumonia cannot be ruled out.", -1),
        ("not only normal", 0),
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
        ("not malignant but benign", 0),
        ("not malignant, benign", 0),
        ("benign, not malignant", 0),
        ("not benign; however malignant", 1),
        ("not only benign but also malignant", -1),
        ("I cannot determine whether this is benign or malignant.", -1),
        ("not benign, malignant", 1),
        ("Neither benign nor malignant. Normal.", 2),
        ("breast cancer", 1),
        ("benign and cancer", -1),
    ],
)
def test_three_classes(text: str, label: int) -> None:
    assert parse(text, BREAST) == label


CHINESE = [["正常"], ["肺炎"]]
GERMAN = [["gutartig", "unauffällig"], ["bösartig"]]
FRENCH = [["bénin", "bénigne"], ["malin", "maligne"]]


@pytest.mark.parametrize(
    ("text", "names", "label"),
    [
        ("这是肺炎。", CHINESE, 1),
        ("正常。", CHINESE, 0),
        ("不正常", CHINESE, 1),
        ("未见肺炎。", CHINESE, 0),
        ("没有肺炎,正常", CHINESE, 0),
        ("没有肺炎\uff0c肺正常\uff01", CHINESE, 0),
        ("正常还是肺炎\uff1f肺炎", CHINESE, 1),
        ("无法判断是正常还是肺炎", CHINESE, -1),
        ("结果是normal。", CHEST, 0),
        ("BÖSARTIG!", GERMAN, 1),
        ("Nicht bösartig, sondern gutartig.", GERMAN, 0),
        ("Die Lunge ist unauffällig.", GERMAN, 0),
        ("Bösartig ist ausgeschlossen", GERMAN, 0),
        ("weder gutartig noch bösartig", GERMAN, -1),
        ("Ce n'est pas malin, mais bénin.", FRENCH, 0),
        ("une tumeur maligne", FRENCH, 1),
        ("malignement", FRENCH, -1),
    ],
)
def test_other_languages(text: str, names: list[list[str]], label: int) -> None:
    assert parse(text, names) == label


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, I cannot provide a diagnosis.", True),
        ("I can\u2019t interpret medical images.", True),
        ("Please consult a physician.", True),
        ("I am unable to see the image.", True),
        ("This is not medical advice.", True),
        ("无法判断", True),
        ("Ich kann keine Diagnose stellen.", True),
        ("<think>I cannot tell</think>normal", False),
        ("It cannot be normal.", False),
        ("I cannot see any consolidation.", False),
        ("abnormal", False),
        ("", False),
    ],
)
def test_refusals(text: str, refused: bool) -> None:
    assert refuses(text) is refused
    if refused:
        assert parse(text, CHEST) == -1


NAMES = ("benign", "malignant", "small-cell carcinoma", "normal variant", "良性", "bösartig", "bénin")
CLASSES = [[name] for name in NAMES]
name = st.integers(0, len(NAMES) - 1)
decorated = st.sampled_from(
    [
        "{}",
        "**{}**",
        "_{}_.",
        "`{}`",
        "# {}\n",
        "({})",
        '"{}"',
        '{{"answer": "{}"}}',
        "{{'diagnosis': '{}'}}",
        "Answer: {}!",
        "- {}",
        "The image shows {}.",
        "No, {}.",
        "the lesion is\n\n{}",
        "诊断\uff1a{}。",
        "Diagnose: {},",
        "\\boxed{{{}}}",
        "As an AI, I would say {}",
        "I cannot give a diagnosis, but it is {}.",
        "<think>it may be benign or malignant</think>{}",
        "<unused94>thought not {}<unused95>{}",
        "<think>no</think><answer>{}</answer>",
        "benign or malignant? {}",
    ]
)
written = st.sampled_from([str, str.upper, str.title, lambda s: "".join(_wide(c) for c in s), lambda s: f" {s} "])


def _wide(character: str) -> str:
    """The full-width form of an ASCII letter."""
    return chr(ord(character) + 0xFEE0) if "!" <= character <= "~" and character.isalpha() else character


@given(name, decorated, written)
def test_a_decorated_name_is_its_class(label: int, decoration: str, write: Callable[[str], str]) -> None:
    name = write(NAMES[label])
    assert parse(decoration.format(name, name), CLASSES) == label


@given(name, name, st.sampled_from([" or ", ", ", " and ", "/", ". ", " ", "\n", " but ", "、", "; ", " vs. ", "? "]))
def test_two_names_are_no_class_unless_one_is_denied_or_final(first: int, second: int, between: str) -> None:
    if first == second:
        return
    a, b = NAMES[first], NAMES[second]
    expected = second if between == "? " else -1
    assert parse(f"{a}{between}{b}", CLASSES) == expected
    assert parse(f"{a} rather than {b}", CLASSES) == first
    assert parse(f"not {a} but {b}", CLASSES) == second
    assert parse(f"{a}{between}<answer>{b}</answer>", CLASSES) == second
    assert parse(f"I cannot say whether it is {a} or {b}", CLASSES) == -1


def test_a_name_in_a_question_is_not_said() -> None:
    assert parse("benign? malignant? normal", BREAST) == 2


def test_the_longer_name_wins_where_names_overlap() -> None:
    assert parse("small cell carcinoma", [["carcinoma"], ["small-cell carcinoma"]]) == 1
    assert parse("large cell carcinoma", [["carcinoma"], ["small-cell carcinoma"]]) == 0


def test_reasoning_that_never_ends_leaves_nothing() -> None:
    assert strip_thinking("<think>a b c").strip() == ""
    assert strip_thinking("<think>a</think> b").strip() == "b"
