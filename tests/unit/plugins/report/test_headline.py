"""No output convicts what has not been shown: the words beside the verdict, and what is advised first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from medprobe.diagnostics.checks import check
from medprobe.diagnostics.judgement.headline import MODE_NAMES, cause_text, headline
from medprobe.diagnostics.outside_text import LONGEST, brief, briefs
from medprobe.diagnostics.records.cause import Cause, Key, Pixels
from medprobe.diagnostics.records.chain import FAILURE_MODES, PLACES, STAGES, VerdictValue
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.allure.content import description
from medprobe.plugins.report.entries import ReportEntry, lineage
from medprobe.plugins.report.outputs.markdown import job_summary
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.rendering import environment
from medprobe.plugins.report.outputs.table import csv_text, markdown_text, rows_of
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.report.sections import page
from medprobe.plugins.report.sections.advice import next_steps
from medprobe.plugins.report.sections.inputs import far_off
from medprobe.plugins.report.sections.sentences import verdict_sentence
from medprobe.plugins.run import ci
from medprobe.plugins.run.properties import found
from tests.unit.plugins.report import samples
from tests.unit.plugins.report.test_ci import call_of
from tests.unit.plugins.report.test_report import Page

PICTURES = ("curve", "waterfall", "halves", "ranking", "reliability")
LAST = FAILURE_MODES["answer"]
NAME = MODE_NAMES[LAST]
OPEN = "readable up to the LLM's last layer, not said; cause open"
WEIGHTS = re.compile(r"\b(calibrat|tun(e|ing)\b|said wrongly|head is|drops it)", re.IGNORECASE)
"""What sends a reader to weights or words."""

REASONS = st.sampled_from(
    [
        "readable up to the LLM's last layer, not said; the cause is open: no second checkpoint was given",
        "no difference: these images do not show the second checkpoint to be better",
        "its effect exceeds that of every other place",
    ]
)
SIGNALS = st.floats(-0.1, 1)


@st.composite
def causes(draw: st.DrawFn) -> Cause:
    against = draw(st.sampled_from([None, "base"]))
    named = draw(st.sampled_from([None, *PLACES]))
    by_swap = against is not None and draw(st.booleans())
    made = samples.named_cause("base").model_dump() if by_swap else {"reason": draw(REASONS)}
    return Cause(
        **made
        | {
            "against": against,
            "module": named,
            "certain": named is not None and draw(st.booleans()),
            "found_by": None if named is None else "swap" if by_swap or named != "input" else "counterfactual",
            "key": draw(st.sampled_from([None, "chat_template"])) if named == "input" else None,
            "judged_on": draw(st.sampled_from(["likeliest", "said"])),
        }
    )


@st.composite
def diagnoses(draw: st.DrawFn) -> Diagnosis:
    """Any diagnosis whose verdict, modes and primary mode fit each other, with anything known of its cause."""
    base = samples.not_said("m")
    signal = samples.chain(*draw(st.lists(SIGNALS, min_size=5, max_size=5)))
    each: st.SearchStrategy[VerdictValue] = st.sampled_from(["pass", "fail", "inconclusive"])
    verdicts = draw(st.fixed_dictionaries(dict.fromkeys(STAGES, each)))
    fails = [FAILURE_MODES[stage] for stage in STAGES if verdicts[stage] == "fail"]
    verdict: VerdictValue = "fail" if fails else "pass" if set(verdicts.values()) == {"pass"} else "inconclusive"
    primary = draw(st.sampled_from([*fails, *([None] if len(fails) > 1 else [])])) if fails else None
    readable, likeliest = draw(SIGNALS), draw(SIGNALS)
    answer = samples.answer(signal.llm, readable, likeliest, signal.answer, draw(SIGNALS))
    numbers = {"mean": draw(st.floats(-5, 5)), "deviation": draw(st.floats(0, 5))}
    differs = [Key(path="image_processor.do_rescale", ours=False, theirs=True)]
    pixels = Pixels(n_images=60, **numbers, differs=draw(st.sampled_from([[], differs])))
    return base.model_copy(
        update={
            "verdict": verdict,
            "signal": signal,
            "failure_modes": samples.modes(signal, verdicts),
            "primary_failure_mode": primary,
            "tied": fails if fails and primary is None else [],
            "answer": answer.model_copy(update={"random_tokens": draw(SIGNALS)}),
            "cause": draw(st.none() | causes()),
            "counterfactuals": draw(st.sampled_from([None, False, True]).map(_other_inputs)),
            "pixels": draw(st.sampled_from([None, pixels])),
        }
    )


def _other_inputs(named: bool | None) -> Any:
    return None if named is None else samples.other_inputs(named)


def shown(diagnosis: Diagnosis) -> str | None:
    """The place that has been shown to be the cause."""
    cause = diagnosis.cause
    return cause.module if cause is not None and cause.certain else None


def headlines(diagnosis: Diagnosis, jinja: Environment) -> dict[str, str]:
    """What each output says of the verdict, without the table of links and the sections below it."""
    report, entries = samples.report(diagnosis), [ReportEntry(diagnosis)]
    lines = rows_of(entries, lineage(entries))
    text = jinja.get_template("diagnosis.html").render(
        page.page(diagnosis, None), suite=[], command="", thumbnails={}, **dict.fromkeys(PICTURES)
    )
    box = re.search(r'<section class="verdict.*?</section>', text, re.DOTALL)
    assert box is not None
    return {
        **{f"terminal {v}": "\n".join(summary_lines(report, 4000, v)) for v in (-1, 0, 1)},
        "job summary": job_summary(report).replace("&#39;", "'").replace("&#58;", ":"),
        "badge": ci.badge(report),
        "annotations": "\n".join(ci.commands(report, call_of())),
        "comparison.md": markdown_text(lines),
        "comparison.csv": csv_text(lines),
        "page": Page(box[0]).text,
        "JUnit": "\n".join(f"{name} {value}" for name, value in found(diagnosis)),
        "Allure": description(LAST, diagnosis).replace("&#x27;", "'"),
        "sentence": verdict_sentence(diagnosis),
    }


@pytest.fixture(scope="module")
def jinja() -> Environment:
    return environment()


@given(diagnosis=diagnoses())
@settings(max_examples=80, deadline=None)
def test_nothing_convicts_what_has_not_been_shown(jinja: Environment, diagnosis: Diagnosis) -> None:
    said = headlines(diagnosis, jinja)
    text = headline(diagnosis)
    # A cause that is shown is said of an undecided diagnosis too: losses may be clear in sum and at no link alone.
    undecided = diagnosis.verdict == "inconclusive"
    assert bool(text) == (diagnosis.verdict == "fail" or (undecided and shown(diagnosis) is not None))
    for output, words in said.items():
        if shown(diagnosis) != "answer":
            assert NAME not in words, output
        if shown(diagnosis) is None:
            assert not re.search(r"cause: (input|vision|connector|llm|answer)", words), output
    for output in ("terminal -1", "terminal 0", "badge", "page"):
        assert one_text(text) in one_text(said[output]), output
    if diagnosis.verdict != "fail":
        return
    cause = shown(diagnosis)
    if cause is not None:
        assert f"cause: {cause}" in text
    elif LAST in (diagnosis.primary_failure_mode, *diagnosis.tied):
        assert text.endswith(OPEN)
    else:
        assert text.removeprefix("tied: ").split(", ")[0] in MODE_NAMES.values()


def one_text(text: str) -> str:
    return " ".join(text.replace('\\"', '"').split())


@given(diagnosis=diagnoses())
@settings(max_examples=300, deadline=None)
def test_weights_and_words_are_advised_after_the_input(diagnosis: Diagnosis) -> None:
    steps = next_steps(diagnosis)
    assert steps
    if diagnosis.verdict == "fail":
        cause = shown(diagnosis)
        assert not WEIGHTS.search(steps[0].text) or cause not in (None, "input")
        assert not steps[0].text.startswith(("Calibrate", "Tune"))
        assert steps[0].place == (cause if cause is not None else steps[0].place)
        if cause == "input":
            assert not any(WEIGHTS.search(step.text) for step in steps)
        elif cause is None:
            order = [kind_of(step.text) for step in steps]
            assert order == sorted(order)
    calibrates = any(step.text.startswith("Calibrate") for step in steps)
    answer, tried, pixels = diagnosis.answer, diagnosis.counterfactuals, diagnosis.pixels
    assert answer is not None
    if calibrates:
        assert answer.readable_in_options > answer.random_tokens
        assert tried is not None
        assert tried.named is None
        assert pixels is None or (not pixels.differs and not far_off(pixels))


def kind_of(text: str) -> int:
    """The order of advice: input, swap, calibration, tuning; what was measured stands between swap and calibration."""
    for rank, words in enumerate(("--against: the last release|, against ", "^Calibrate", "^(Tune|Where an earlier)")):
        if re.search(words, text):
            return rank + (1 if rank == 0 else 2)
    inputs = r"^(Check|On \d+ images the pixel|Of \d+ other|With |image_processor)"
    return 0 if re.search(inputs, text) else 2


@pytest.mark.parametrize(
    ("make", "words", "certain"),
    [
        (samples.open_cause, OPEN, "false"),
        (samples.wrong_mean, "cause: input (image_processor.image_mean, image_processor.image_std)", "true"),
        (samples.swapped, "cause: connector, by swapping with llava-base", "true"),
    ],
)
def test_the_three_ways_a_last_link_ends(make: Any, words: str, certain: str) -> None:
    diagnosis = make()
    assert headline(diagnosis) == words
    assert diagnosis.primary_failure_mode == LAST
    assert dict(found(diagnosis))["cause_certain"] == certain
    with pytest.raises(AssertionError) as raised:
        check(diagnosis, LAST, True)
    message = str(raised.value)
    assert message.startswith(f"[{LAST}] {diagnosis.model} on {diagnosis.dataset}: less than ")
    assert NAME not in message
    why = ": none of 4 other inputs that this family knows explains it"
    assert message.endswith(f"at answer); {cause_text(diagnosis) if certain == 'true' else OPEN + why}")


def test_a_named_setting_is_told_with_its_value_and_what_it_gives_back() -> None:
    assert cause_text(samples.wrong_mean()) == (
        "cause: input (image_processor.image_mean, image_processor.image_std): with image_mean 0.5 and image_std 0.5 "
        "what is said reads 81 instead of 0 points"
    )
    key = Key(path="chat_template", ours="a", theirs="b", signal=0.7, change={"change": 0.68, "ci": (0.6, 0.7)})  # type: ignore[arg-type]
    cause = samples.named_cause().model_copy(update={"module": "input", "key": "chat_template", "keys": [key]})
    assert cause_text(samples.not_said("m", cause=cause)) == (
        "cause: input (chat_template), by swapping with gemma-3-4b: with chat_template = b the answer reads 70.0 "
        "instead of 2.0 points"
    )


def test_the_page_shows_what_was_tried_and_nothing_else(tmp_path: Path) -> None:
    sections = {
        "Asked again under other inputs": (samples.open_cause, samples.wrong_mean),
        "What reaches the tower": (samples.open_cause, samples.wrong_mean),
        "Settings that differ": (samples.swapped,),
        "Effect of each place": (samples.swapped,),
    }
    for make in (samples.healthy, samples.open_cause, samples.wrong_mean, samples.swapped):
        text = write_pages(samples.report(make()), tmp_path / make.__name__)[1].read_text("utf-8")
        assert {name for name in sections if name in text} == {name for name, of in sections.items() if make in of}
        assert ("<h2>Cause</h2>" in text) == (make is not samples.healthy)
    page = Page(text)
    assert (
        "llava-base as it ships, with its own input, reads 69.0 points (65.0 to 73.0) on the same images" in page.text
    )
    assert "judged by what is said" in page.text
    assert "it changes the shapes of weights" in page.text
    assert page.text.count("endfor") <= 2, "templates are shortened"


@given(st.text(), st.text(), st.text())
def test_long_values_are_shown_where_they_differ(same: str, first: str, second: str) -> None:
    one, other = briefs("{{ x }}" * 30 + same + "a" + first, "{{ x }}" * 30 + same + "b" + second)
    assert one != other
    assert max(len(one), len(other)) <= LONGEST
    assert brief(None) == "not set"
    assert brief([0.5, 0.5]) == "[0.5, 0.5]"


def test_settings_are_escaped(tmp_path: Path) -> None:
    evil = samples.SCRIPT_NAME
    assert evil.startswith("evil<script>")
    cause = samples.named_cause(evil)
    cause = cause.model_copy(update={"keys": [Key(path=evil, ours=evil, theirs=[evil], reason=evil)], "reason": evil})
    tried = samples.other_inputs(True)
    other = tried.tried[0].model_copy(update={"name": evil, "changes": {evil: evil}})
    bad = samples.not_said(
        "m",
        cause=cause,
        counterfactuals=tried.model_copy(update={"tried": [other], "named": evil}),
        pixels=Pixels(n_images=1, mean=0, deviation=1, differs=[Key(path=evil, ours=evil, theirs=evil)]),
    )
    for path in write_pages(samples.report(bad), tmp_path):
        page = Page(path.read_text("utf-8"))
        assert "script" not in page.tags
        assert evil in page.text
