"""The pages: one for each diagnosis and one over all, each a single file that needs no network and no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from diagnostics.records import CHAIN, Report
from plugins.report import text, view
from plugins.report.chart import curve_svg, ringed
from plugins.report.files import write_text
from plugins.report.svg import inline
from plugins.report.waterfall import waterfall_svg

TEMPLATES = Path(__file__).parent / "templates"


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "points": text.points,
        "shown": text.shown,
        "share": text.percent,
        "number": text.number,
        "interval": text.interval,
        "plain": view.plain,
    }
    environment.globals |= {"MARKS": view.MARKS, "MISSING": text.MISSING}
    return environment


def write_pages(report: Report, report_dir: Path | str) -> list[Path]:
    """Writes `index.html`, and for each diagnosis a folder with its page and, where measured, its two pictures.

    Returns the pages, the index first."""
    from markupsafe import Markup

    folder, environment = Path(report_dir), _environment()
    template = environment.get_template("diagnosis.html")
    names = view.folder_names(report)
    suite = view.flat({k: v for k, v in report.suite.items() if k != "command"}, missing=view.NOT_GIVEN)
    written = []
    for diagnosis, name in zip(report.diagnoses, names, strict=True):
        pictures: dict[str, Markup | None] = {}
        for kind, svg, words in (
            ("curve", curve_svg(diagnosis), view.curve_text(diagnosis)),
            ("waterfall", waterfall_svg(diagnosis), view.chain_text(diagnosis)),
        ):
            pictures[kind] = None
            if svg is not None:
                write_text(folder / name / f"{kind}.svg", svg)
                title = f"{kind.capitalize()} of {diagnosis.model} on {diagnosis.dataset}"
                pictures[kind] = Markup(inline(svg, kind, title, words))
        html = template.render(
            **view.page(diagnosis),
            **pictures,
            ringed=ringed(diagnosis),
            suite=suite,
            command=report.suite.get("command"),
        )
        written.append(write_text(folder / name / "index.html", html))
    rows = [(view.overview(d), f"{quote(name)}/index.html") for d, name in zip(report.diagnoses, names, strict=True)]
    index = environment.get_template("index.html").render(
        rows=rows, report=report, suite=suite, command=report.suite.get("command"), places=CHAIN
    )
    return [write_text(folder / "index.html", index), *written]
