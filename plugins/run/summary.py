"""What the terminal says of a run: what was asked at its start, and what was found at its end."""

from __future__ import annotations

import pytest

from medprobe.diagnostics.outside_text import one_line
from medprobe.plugins.options import CALL
from medprobe.plugins.report.outputs import acceptance
from medprobe.plugins.report.outputs.terminal import summary_lines, wrap
from medprobe.plugins.run.reporting import ACCEPTANCE, ASIDE, PARTS, REPORT, SAVED


def pytest_report_header(config: pytest.Config) -> list[str]:
    call = config.stash[CALL]
    models = ", ".join(
        dict.fromkeys(f"{p.model.name}@{p.model.revision}" if p.model.revision else p.model.name for p in call.pairs)
    )
    data = ", ".join(dict.fromkeys(p.dataset.name for p in call.pairs))
    s = call.settings
    asked = [(p.model.name, p.dataset.name, p.dataset.question()[1]) for p in call.pairs]
    notes = [line for text in s.thresholds.unmatched(asked) for line in wrap(one_line(text), _width(config), "")]
    lines = wrap(
        f"medprobe: {models} on {data}; probe {s.probe}, reference {s.reference}, seed {s.seed}, "
        f"dtype {s.load.dtype or 'as saved'}, device {s.load.device_map or 'auto'}",
        _width(config),
        "",
    )
    return [*lines, *notes]


def _width(config: pytest.Config) -> int:
    """Columns of the terminal, at most 80, which is what reports and logs are read at."""
    return min(80, config.get_terminal_writer().fullwidth)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if parts := config.stash.get(PARTS, None):
        terminalreporter.section("medprobe", yellow=True)
        for line in [*parts, "nothing is judged; a run without --shard finds the features and judges"]:
            terminalreporter.write_line(line)
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    colour = {"pass": "green", "fail": "red"}.get(report.verdict or "", "yellow")
    terminalreporter.section("medprobe", **{colour: True})  # type: ignore[arg-type]
    for line in summary_lines(report, _width(config), config.get_verbosity()):
        terminalreporter.write_line(line)
    if SAVED in config.stash:
        terminalreporter.write_line(f"baseline: {config.stash[SAVED]}")
    call = config.stash[CALL]
    if config.stash[ASIDE]:
        terminalreporter.write_line("another run left its report in the folder that was named, while this one ran")
    if call.include_images:
        terminalreporter.write_line("the report holds images of the data set (--include-images)")
    if call.criteria is not None:
        for line in wrap(acceptance.sentence(config.stash[ACCEPTANCE]), _width(config), ""):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"acceptance: {call.report_dir / acceptance.PAGE}")
    terminalreporter.write_line(f"report: {call.report_dir / 'index.html'}")
