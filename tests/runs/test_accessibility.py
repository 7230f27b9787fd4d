"""axe over the pages, in a browser: nothing serious keeps anyone from reading them, light or dark, wide or narrow.

Needs chromium on the path and `AXE` naming the axe.min.js of `npm install axe-core`.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from medprobe.commands.report import main
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.rendering import TEMPLATES
from medprobe.plugins.report.pictures.svg import ROLES
from tests.unit.plugins.report import samples
from tests.unit.plugins.report.test_comparison import named, saved
from tests.unit.plugins.report.test_thumbnails import files

AXE, CHROMIUM = os.environ.get("AXE"), shutil.which("chromium")
PAGES = {
    "index": "index.html",
    "comparison": "comparison.html",
    "curves": "curves.html",
    "diagnosis": "medgemma-chest-xray/index.html",
    "input": "llava-mean-phantom/index.html",
    "error": "evil_script_alert_x_script_model_-busi/index.html",
}
WIDTHS, SCHEMES = (1400, 390), ("light", "dark")
FAINT = """<!DOCTYPE html><html lang="en"><title>x</title><body style="background: #fff"><main><h1>x</h1>
<p style="color: #bbb">too faint</p></main></body></html>"""
"""A page with text too faint to read, so that a browser in which axe sees nothing is found out."""
RUN = """axe.run().then(({violations}) => parent.postMessage([name, {
  width: innerWidth,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  found: violations.map(({impact, id, nodes}) => [impact, id, nodes.map(node => node.html)]),
}], "*"))"""
GATHER = """<script>
const said = {};
addEventListener("message", ({data: [name, found]}) => {
  said[name] = found;
  document.querySelector("pre").textContent = JSON.stringify(said);
});
</script><pre></pre>"""


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("block", range(3), ids=["light", "dark", "print"])
def test_words_in_pictures_can_be_read(block: int) -> None:
    """axe judges no text of an SVG: 4.5 to 1 for every colour that words have there, as printed and in the page."""
    css = (TEMPLATES / "style.css").read_text("utf-8").split(":root {")[1:][block]
    palette = dict(re.findall(r"--chart-(\w+): (#\w{6});", css))
    assert set(palette) == set(ROLES.values())
    if block == 0:
        assert palette == {role: colour for colour, role in ROLES.items()}
    for role in ("ink", "muted", "reference", "lost"):
        dark, light = sorted(luminance(palette[name]) for name in (role, "ground"))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, role


def readable(page: str, name: str) -> str:
    """A copy of the page that runs axe: everything unfolded, and without the policy that forbids scripts."""
    script = Path(str(AXE)).read_text("utf-8").replace("</script", "<\\/script")
    page = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("<details>", "<details open>")
    return f"{page}<script>{script}</script><script>const name = {json.dumps(name)}; {RUN}</script>"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What axe says of each page in each frame: a frame has the width and the colours it is given."""
    folder = tmp_path_factory.mktemp("pages")
    read = samples.predictions()
    tuned = samples.tuned(samples.connector_fail())
    report = samples.report(*samples.everything().diagnoses, tuned)
    n_others = len(report.diagnoses) - 2
    write_pages(report, folder, [None, read, *[None] * n_others], [{}, files(read, folder), *[{}] * n_others])
    texts = {name: (folder / path).read_text("utf-8") for name, path in PAGES.items()} | {"faint": FAINT}
    frames = ""
    for name, width, scheme in product(texts, WIDTHS, SCHEMES):
        file = f"{name}-{width}-{scheme}"
        (folder / f"{file}.html").write_text(readable(texts[name], file), "utf-8")
        style = f"border: 0; width: {width}px; height: 900px; color-scheme: {scheme}"
        frames += f'<iframe src="{file}.html" style="{style}"></iframe>'
    (folder / "frames.html").write_text(GATHER + frames, "utf-8")
    dom = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
         "--virtual-time-budget=60000", "--dump-dom", (folder / "frames.html").as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    told = re.search("<pre>(.+?)</pre>", dom, re.DOTALL)
    assert told is not None, "axe did not run"
    found: dict[str, dict[str, Any]] = json.loads(html.unescape(told[1]))
    return found


@pytest.mark.skipif(not AXE or CHROMIUM is None, reason="no chromium, or AXE names no axe.min.js")
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", [*PAGES, "faint"])
def test_axe_finds_nothing_serious(said: dict[str, dict[str, Any]], page: str, width: int, scheme: str) -> None:
    frame = said[f"{page}-{width}-{scheme}"]
    assert (frame["width"], frame["dark"]) == (width, scheme == "dark")
    serious = [found for found in frame["found"] if found[0] in ("serious", "critical")]
    assert [found[1] for found in serious] == (["color-contrast"] if page == "faint" else []), serious


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to run the script in")
def test_columns_sort_in_a_browser(tmp_path: Path) -> None:
    path = saved(tmp_path, named("good"), named("none", like=samples.failed), named("bad", like=samples.vision_fail))
    main([path, "--out", str(tmp_path)])
    text = (tmp_path / "comparison.html").read_text("utf-8")

    def names(page: Path) -> list[str]:
        assert CHROMIUM is not None
        dom = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
             "--dump-dom", page.as_uri()],
            check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip
        assert dom.count('<button type="button">') == 2 + 17
        matrix = dom.split("<tbody>")[1].split("</tbody>")[0]
        return [html.unescape(name) for name in re.findall(r'class="kin">([^<]+)<', matrix)]

    # The page as it is: its policy lets its own script run.
    assert names(tmp_path / "comparison.html") == ["good", "none", "bad"]
    # A copy whose policy lets the test click.
    for clicks, expected in ((1, ["bad", "good", "none"]), (2, ["good", "bad", "none"])):
        click = f"<script>for (let i = 0; i < {clicks}; i++) document.querySelectorAll('button')[1].click()</script>"
        copy = tmp_path / f"clicked-{clicks}.html"
        copy.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", f"{click}</body>"), "utf-8")
        assert names(copy) == expected
