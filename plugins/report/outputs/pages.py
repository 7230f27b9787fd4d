"""The pages: one for each diagnosis and one over all, each a single file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from medprobe.diagnostics.baselines.outcome import decided
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.report import Predictions, Report
from medprobe.fixtures.whole import write_text
from medprobe.plugins.report import comparison, text
from medprobe.plugins.report.entries import ReportEntry
from medprobe.plugins.report.outputs.rendering import environment
from medprobe.plugins.report.pictures import in_words, thumbnails
from medprobe.plugins.report.pictures.chart import curve_svg, ringed
from medprobe.plugins.report.pictures.perception import halves_svg, halves_text
from medprobe.plugins.report.pictures.scores import ranking_svg, ranking_text, reliability_svg, reliability_text
from medprobe.plugins.report.pictures.svg import inline
from medprobe.plugins.report.pictures.waterfall import waterfall_svg
from medprobe.plugins.report.sections import page

if TYPE_CHECKING:
    from medprobe.fixtures.datasets.image_file import ImageFile

LARGEST = 2_000_000
"""Bytes up to which a page takes thumbnails."""


def write_pages(
    report: Report,
    report_dir: Path | str,
    predictions: Sequence[Predictions | None] = (),
    images: Sequence[Mapping[str, ImageFile]] = (),
) -> list[Path]:
    """Writes `index.html`, for each diagnosis a folder with its page and, where measured, its pictures, and for
    more than one the comparison; that of an earlier run is removed. `predictions` are those of the diagnoses in their
    order; without them the pages list no image. `images` are the files of each diagnosis by id; those listed are shown,
    as many as fit.

    Returns the index and the pages of the diagnoses, the index first."""
    folder, jinja = Path(report_dir), environment()
    template = jinja.get_template("diagnosis.html")
    names = page.folder_names(report)
    suite = text.flat({k: v for k, v in report.suite.items() if k != "command"}, missing=text.NOT_GIVEN)
    written = []
    read = predictions or [None] * len(names)
    files = images or [{}] * len(names)
    for diagnosis, name, of, found in zip(report.diagnoses, names, read, files, strict=True):
        pictures: dict[str, Markup | None] = {}
        for kind, svg, words in (
            ("curve", curve_svg(diagnosis), in_words.curve_text(diagnosis)),
            ("waterfall", waterfall_svg(diagnosis), in_words.chain_text(diagnosis)),
            ("halves", halves_svg(diagnosis), halves_text(diagnosis)),
            ("ranking", ranking_svg(diagnosis), ranking_text(diagnosis)),
            ("reliability", reliability_svg(diagnosis), reliability_text(diagnosis)),
        ):
            pictures[kind] = None
            if svg is not None:
                write_text(folder / name / f"{kind}.svg", svg)
                title = f"{kind.capitalize()} of {diagnosis.model} on {diagnosis.dataset}"
                pictures[kind] = Markup(inline(svg, kind, title, words))
        shown = page.page(diagnosis, of, report.gate) | {
            **pictures,
            "halves_text": halves_text(diagnosis),
            "ringed": ringed(diagnosis),
            "suite": suite,
            "command": report.suite.get("command"),
            "thumbnails": {},
        }
        html = template.render(shown)
        listed = dict.fromkeys(image for _, image, _ in shown["lost_images"] if image in found)
        if listed:
            room = LARGEST - len(html.encode()) - thumbnails.MARKUP * len(shown["lost_images"])
            html = template.render(shown | {"thumbnails": thumbnails.fitting([found[i] for i in listed], room)})
        written.append(write_text(folder / name / "index.html", html))
    hrefs = [f"{quote(name)}/index.html" for name in names]
    rows = [(page.overview(d, report.gate), href) for d, href in zip(report.diagnoses, hrefs, strict=True)]
    index = jinja.get_template("index.html").render(
        rows=rows,
        report=report,
        decided=decided(report),
        suite=suite,
        command=report.suite.get("command"),
        places=CHAIN,
    )
    if len(rows) > 1:
        comparison.write(list(map(ReportEntry, report.diagnoses, hrefs)), folder)
    else:
        comparison.remove(folder)
    return [write_text(folder / "index.html", index), *written]
