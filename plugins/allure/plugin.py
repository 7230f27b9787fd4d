"""Gives each check its place, description, steps and attachments in Allure's results.

Nothing is registered unless allure-pytest is loaded and `--alluredir` given.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.allure import content, files
from medprobe.plugins.options import CALL
from medprobe.plugins.report.pictures.chart import curve_svg
from medprobe.plugins.run.diagnosing import MODEL, PAIR, pair_of
from medprobe.plugins.run.reporting import REPORT


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("allure_report_dir", None)
    if folder and config.pluginmanager.hasplugin("allure_pytest") and not config.option.collectonly:
        config.pluginmanager.register(AllureReport(Path(folder).absolute()), "medprobe_allure")


class AllureReport:
    """The hooks; `folder` holds the results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """Attach to the set-up of the fixture, which all checks of a diagnosis share: nothing is attached twice.

        The innermost wrapper, since the set-up is closed by the one of allure-pytest."""
        result = yield
        if isinstance(result, Diagnosis):
            import allure

            if (svg := curve_svg(result)) is not None:
                allure.attach(svg, "accuracy by layer", allure.attachment_type.SVG)
            allure.attach(result.model_dump_json(indent=1), "numbers", allure.attachment_type.JSON)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Take the fixtures' parameters before allure-pytest, which would show the records and count their revision."""
        if pair_of(item) is not None:
            import allure

            for name in (MODEL, PAIR):
                allure.dynamic.parameter(name, None, excluded=True, mode=allure.parameter_mode.HIDDEN)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """After all that allure-pytest sets itself and before it makes the history id; also where the set-up failed."""
        pair = pair_of(item)
        if pair is None:
            return
        import allure

        found = getattr(item, "funcargs", {}).get("diagnosis")
        diagnosis = found if isinstance(found, Diagnosis) else None
        check = getattr(item, "originalname", item.name).removeprefix("test_")
        model, dataset = pair.model.name, pair.dataset.name
        revision = pair.model.revision if diagnosis is None else diagnosis.revision
        story = content.story(check)
        allure.dynamic.title(f"{model} on {dataset}: {story}")
        allure.dynamic.epic("medprobe")
        allure.dynamic.feature(dataset)
        allure.dynamic.story(story)
        allure.dynamic.parameter("model", model)
        allure.dynamic.parameter("dataset", dataset)
        if revision is not None:
            allure.dynamic.parameter("revision", revision, excluded=True)
        allure.dynamic.description_html(content.description(check, diagnosis, item.config.stash[CALL].gate))
        for step in [] if diagnosis is None else content.steps(check, diagnosis):
            _write(step)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Follows the hook that makes the report, which comes first."""
        if not hasattr(session.config, "workerinput"):
            call, report = session.config.stash[CALL], session.config.stash.get(REPORT, None)
            files.write(self.folder, call, report, session.config.invocation_params.dir)


def _write(step: content.AllureStep) -> None:
    """A step of the status its verdict has as a test. Left by hand: a raised exception would bring its traceback."""
    import allure

    end: BaseException | None = None
    if step.verdict == "fail":
        end = AssertionError(step.reason)
    elif step.verdict == "inconclusive":
        end = pytest.skip.Exception(step.reason)
    written = allure.step(step.title)
    written.__enter__()
    written.__exit__(None if end is None else type(end), end, None)
