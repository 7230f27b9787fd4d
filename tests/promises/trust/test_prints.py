"""Whatever a command prints goes through the one mask for outside text, and no secret is written down."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from medprobe.commands import compare
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.outside_text import HIDDEN, masked, say
from medprobe.diagnostics.store import StoreError, located
from tests.places import ROOT
from tests.runs.test_compare import FALLEN, LABELS, saved

BARE = {
    "diagnostics/outside_text.py",  # `say` itself
    "medprobe/command.py",  # its own usage and version
    "medprobe/commands/pair.py",  # what a run said, which went through the mask there
    "plugins/options.py",  # tables of names the project chose
    "plugins/plan.py",  # a table of numbers, and a path to be copied
    "medprobe/commands/tune.py",  # a command to be copied
    "medprobe/commands/report.py",  # a path to be copied
    "medprobe/commands/checklist.py",  # paths to be copied
    "medprobe/commands/find.py",  # the paths it is asked for
    "plugins/report/outputs/acceptance.py",  # a path to be copied
    "plugins/report/outputs/schema.py",  # a path to be copied
}
"""Files with a bare `print`, and why it shows nothing from outside."""


def test_every_print_goes_through_the_mask() -> None:
    found = set()
    for folder in ("diagnostics", "medprobe", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
            if any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == BARE


def test_a_line_can_neither_be_broken_nor_command(capsys: pytest.CaptureFixture[str]) -> None:
    say("m\n::error::x\x1b[2J on ##[error]", "b")
    say("no", error=True)
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert (second, err) == ("b", "no\n")
    assert not {"::", "##[", "\x1b"} & {first[i : i + n] for n in (1, 2, 3) for i in range(len(first))}


def test_compare_shows_a_baseline_s_names_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "m\n::error::broken\x1b[31m"
    before, after = (saved(tmp_path / f, p, model=name) for f, p in (("a.json", LABELS), ("b.json", FALLEN)))
    assert compare.main([str(before), str(after)]) == 1
    out = capsys.readouterr().out
    assert "::" not in out
    assert "\x1b" not in out
    assert out.splitlines()[0].endswith(": regressed")


NAMES = (
    "PGPASSWORD OPENAI_APIKEY OPENAI_API_KEY ACCESSTOKEN HF_TOKEN AWS_SECRET_ACCESS_KEY MYSQL_PWD SENTRY_DSN DB_PASSWD "
    "AZURE_STORAGE_CONNECTION_STRING GPG_PASSPHRASE ACCOUNTKEY SSH_PRIVATE_KEY GITHUB_PAT"
)


@pytest.mark.parametrize(
    "name",
    NAMES.split(),
)
def test_the_usual_names_of_secrets_are_known(name: str) -> None:
    assert masked("it is hunter2hunter2", {name: "hunter2hunter2"}) == f"it is {HIDDEN}"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "TOKENIZERS_PARALLELISM", "KEYBOARD", "MONKEY", "PATH", "COMPAT"])
def test_other_names_hide_nothing(name: str) -> None:
    assert masked("it is /usr/local/bin", {name: "/usr/local/bin"}) == "it is /usr/local/bin"


@pytest.mark.parametrize("url", ["s3://key:s3cr/et@bucket/a", "gs://b/a?token=s3cr%2Fet", "s3://k:s3cret@bucket"])
def test_a_store_s_url_with_a_secret_is_refused_unsaid(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="may hold no password or key") as refused:
        located(url, tmp_path)
    assert "s3cr" not in str(refused.value)
    assert "et@" not in str(refused.value)


def test_readings_that_all_agree_have_intervals_of_a_width() -> None:
    labels = np.arange(20) % 2
    drawn = Resamples(labels, np.arange(20), 2, seed=0)
    for samples in (drawn.accuracy(labels), drawn.signal(labels, "llm")):
        low, high = interval(samples)
        assert high - low > 0.1
