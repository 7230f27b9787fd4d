"""Pictures of drawn DICOM files beside dcmtk's.

    python -m benchmarks.dicom --files 2400 [--before CHECKOUT]

Needs dcmtk (`apt-get install dcmtk`) and the decoders of `pip install 'medprobe[dicom]'`. `--before` compares the same
files as read by the code of another checkout. Ten minutes on one core. Writes benchmarks/results/dicom.json and
docs/studies/dicom.md.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawn_dicom import KINDS, draw, shown_by_dcmtk
from benchmarks.study import Study

ALLOWED = 1
"""Grey levels that two pictures may differ by: dcmtk cuts fractions off, we round."""

Reader = Callable[[bytes], "np.ndarray | None"]


def ours(file: bytes) -> np.ndarray | None:
    """The picture, [height, width, 3]; None where it is refused."""
    from medprobe.fixtures.datasets.errors import UnreadableImage
    from medprobe.fixtures.datasets.images import open_image

    try:
        return np.asarray(open_image(file))
    except UnreadableImage:
        return None


class Other:
    """The reader of another checkout, in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        code = (
            "import sys, warnings; sys.path.insert(0, sys.argv[1]); warnings.simplefilter('ignore');"
            "import numpy as np; from medprobe.fixtures.datasets.images import UnreadableImage, open_image\n"
            "while head := sys.stdin.buffer.read(8):\n"
            "    data = sys.stdin.buffer.read(int.from_bytes(head, 'big'))\n"
            "    try: picture = np.asarray(open_image(data))\n"
            "    except UnreadableImage: picture = np.zeros((0, 0, 3), np.uint8)\n"
            "    sys.stdout.buffer.write(np.array(picture.shape[:2], '>u4').tobytes() + picture.tobytes())\n"
            "    sys.stdout.buffer.flush()\n"
        )
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-c", code, str(checkout)], stdin=pipe, stdout=pipe)

    def __call__(self, file: bytes) -> np.ndarray | None:
        source, target = self._process.stdin, self._process.stdout
        assert source is not None
        assert target is not None
        source.write(len(file).to_bytes(8, "big") + file)
        source.flush()
        height, width = np.frombuffer(target.read(8), ">u4")
        return np.frombuffer(target.read(3 * height * width), np.uint8).reshape(height, width, 3) if height else None


def difference(picture: np.ndarray | None, reference: np.ndarray) -> int | None:
    """The largest difference in grey levels; 255 where the size differs, None where the file is refused."""
    if picture is None:
        return None
    if picture.shape != reference.shape:
        return 255
    return int(np.abs(picture.astype(int) - reference).max())


def study(n_files: int, first: int, readers: dict[str, Reader]) -> dict[str, Any]:
    """For each reader by kind and by syntax: files, refused, wrong (more than `ALLOWED`), largest difference."""
    rows: dict[str, dict[str, Counter[str]]] = {name: {} for name in readers}
    for seed in range(first, first + n_files):
        drawn = draw(seed)
        reference = shown_by_dcmtk(drawn)
        for name, read in readers.items():
            found = difference(read(drawn.file), reference)
            for key in (drawn.kind, drawn.syntax):
                row = rows[name].setdefault(key, Counter(files=0, refused=0, wrong=0, largest=0))
                row["files"] += 1
                row["refused"] += found is None
                row["wrong"] += found is not None and found > ALLOWED
                row["largest"] = max(row["largest"], found or 0)
    return {"files": n_files, "first_seed": first, "dcmtk": dcmtk_version(), "rows": rows}


def dcmtk_version() -> str:
    said = subprocess.run(["dcmj2pnm", "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[2].strip("v")


def table(found: dict[str, Any], kinds: bool) -> str:
    """By kind of grey or colour, or by transfer syntax."""
    names = list(found["rows"])
    head = " | ".join(f"{word} {name}" for name in names for word in ("wrong", "refused", "largest"))
    lines = [f"| {'kind' if kinds else 'transfer syntax'} | files | {head} |", "|---" * (2 + 3 * len(names)) + "|"]
    for key in found["rows"]["now"]:
        if (key in KINDS) == kinds:
            cells = [
                f"{row['wrong']} | {row['refused']} | {row['largest']}"
                for row in (found["rows"][name][key] for name in names)
            ]
            lines.append(f"| {key} | {found['rows']['now'][key]['files']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(found: dict[str, Any]) -> str:
    now = [row for key, row in found["rows"]["now"].items() if key in KINDS]
    return f"""# DICOM beside dcmtk

`python -m benchmarks.dicom --files {found["files"]} --before CHECKOUT` computes all of this
([dicom.json](../../benchmarks/results/dicom.json)). "before" is the code that took pydicom's own functions for windows
and tables.

{found["files"]:,} files are drawn from seeds, from {found["first_seed"]} on: grey of 4 to 16 bits in 8 or 16, signed
or not, with the high bit in any place, with MONOCHROME1 and 2 and presentation shapes, slopes of either sign, tables
and windows of every function, and colours. The reference is dcmtk {found["dcmtk"]}.
Wrong is a file with a pixel more than {ALLOWED} level of 256 off; dcmtk cuts fractions off, and we round.

**{sum(row["wrong"] for row in now)} are wrong, {sum(row["refused"] for row in now)} are refused, and the largest
difference is {max(row["largest"] for row in now)} level.**

{table(found, kinds=True)}

{table(found, kinds=False)}

Where dcmtk leaves the standard or reads less of it, the reference is a file that the standard shows the same way;
the module `benchmarks/drawn_dicom.py` lists these cases. Without a window more than 8 bits are shown between
percentiles here, by design, and dcmtk is given that window. A file of several frames is refused.
`pytest tests/promises/test_dcmtk.py` compares 204 other files, in CI too, where dcmtk is installed.
"""


STUDY = Study("dicom", page)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = STUDY.parser(__doc__)
    parser.add_argument("--files", type=int, default=2400)
    parser.add_argument("--first", type=int, default=100_000, help="seed of the first file; the tests use those from 0")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    given = parser.parse_args(arguments)
    readers: dict[str, Reader] = {} if given.before is None else {"before": Other(given.before.resolve())}
    found = study(given.files, given.first, readers | {"now": ours})
    STUDY.publish(found)
    return found


if __name__ == "__main__":
    main()
