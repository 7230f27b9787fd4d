"""What `mutmut run` left in `mutants/`, as figures and as the mutants that no test noticed.

    mutmut run && python -m benchmarks.mutation

Writes benchmarks/results/mutation.json; the reasons are in docs/studies/mutation.md. Exit code 1: under `LEAST` of the
mutants are killed, or some were not run.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import sys
from collections import Counter
from pathlib import Path

from benchmarks.study import Study

STUDY = Study("mutation")

LEAST = 0.85
SURVIVED, NOT_RUN = (0, 33), None
"""Exit codes as mutmut keeps them: every test passed, or none covers the function; not looked at yet."""


def change(functions: dict[str, str], mutant: str) -> str:
    """The lines a mutant changes."""
    original = functions[re.sub(r"_mutmut_\d+$", "_mutmut_orig", mutant)].splitlines()[1:]
    lines = list(difflib.unified_diff(original, functions[mutant].splitlines()[1:], n=0, lineterm=""))[2:]
    return " | ".join(f"{line[0]} {line[1:].strip()}" for line in lines if not line.startswith("@@"))


def main(root: Path = Path("mutants")) -> int:
    modules, survivors, codes = {}, {}, Counter[int | None]()
    for path in sorted((root / "diagnostics").rglob("*.py.meta")):
        found = json.loads(path.read_text("utf-8"))["exit_code_by_key"]
        if not found:
            continue
        source = path.with_suffix("").read_text("utf-8")
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        functions = {node.name: ast.get_source_segment(source, node) or "" for node in nodes}
        left = {key.rpartition(".")[2]: code for key, code in found.items() if code in SURVIVED}
        module = str(path.relative_to(root).with_suffix(""))
        modules[module] = {"mutants": len(found), "survivors": len(left)}
        survivors[module] = {name: change(functions, name) for name in sorted(left)}
        codes.update(found.values())
    total, survived = codes.total(), sum(codes[code] for code in SURVIVED)
    share = (total - survived - codes[NOT_RUN]) / total
    figures = {"mutants": total, "survivors": survived, "not_run": codes[NOT_RUN], "killed": round(share, 4)}
    STUDY.publish({**figures, "modules": modules, "survived": survivors})
    print(json.dumps(figures))
    return int(share < LEAST or codes[NOT_RUN] > 0)


if __name__ == "__main__":
    sys.exit(main())
