"""The numbers behind the studies, which lie outside docs/, as files of the site: a hook of mkdocs.yml."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files

from benchmarks.study import RESULTS

BESIDE, INSIDE = "../../benchmarks/results/", "../results/"


def on_files(files: Files, config: Any) -> Files:
    for path in sorted(RESULTS.glob("*.json")):
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return markdown.replace(f"]({BESIDE}", f"]({INSIDE}")
