"""Pictures, folders and archives as people report them: how many are read wrongly, or in silence.

    python -m benchmarks.inputs [--before CHECKOUT]

`--before` tries the same inputs on the code of another checkout. A minute. Writes benchmarks/results/inputs.json and
docs/studies/inputs.md. DICOM pictures are in a study of their own, benchmarks/dicom.py.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.study import ROOT, Study

TESTS_OF_THEM = "tests/unit/fixtures/datasets"

MANIFEST = """name = "small"
modality = "drawing"
prompt = "Is it dark or bright?"
root = "pictures"
[[classes]]
answer = "dark"
images = ["{dark}"]
[[classes]]
answer = "bright"
images = ["{bright}"]
"""

Case = tuple[str, str, Callable[[Path], bool]]
"""Kind, input, and whether it is read rightly in an empty folder."""


def saved(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def png(seed: int) -> bytes:
    return saved(np.random.default_rng(seed).integers(0, 256, (24, 24), dtype=np.uint8))


def files(endings: Sequence[str] = (".png",)) -> dict[str, bytes]:
    """Six images a class, three patients each."""
    return {
        f"{folder}/p{start + patient}_{n}{endings[n % len(endings)]}": png(100 * start + 10 * patient + n)
        for start, folder in ((0, "dark"), (5, "bright"))
        for patient in range(3)
        for n in range(2)
    }


def opened(
    folder: Path, inside: Mapping[str, bytes], extra: str = "", data_root: Path | None = None, **globs: str
) -> Any:
    """The data set of these files, or the sentence that refuses it."""
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.datasets.errors import DataError

    for name, data in inside.items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    manifest = folder / "manifest.toml"
    manifest.write_text(MANIFEST.format(**{"dark": "dark/*", "bright": "bright/*"} | globs) + extra, "utf-8")
    try:
        return open_dataset(manifest, data_root)
    except DataError as error:
        return str(error)


def shown(folder: Path, data: bytes) -> np.ndarray | None:
    """The picture of an image of a data set; None where it is left out."""
    from medprobe.fixtures.datasets.errors import UnreadableImage
    from medprobe.fixtures.datasets.image_file import ImageFile
    from medprobe.fixtures.datasets.images import open_image

    path = folder / "image"
    path.write_bytes(data)
    try:
        return np.asarray(open_image(ImageFile("0" * 64, path, None, 0, 0)))
    except UnreadableImage:
        return None


def flat() -> Iterator[Case]:
    noise = np.random.default_rng(0).integers(0, 3, (64, 64))
    marked = np.zeros((64, 64), np.uint8)
    marked[2:5, 2:5] = 255
    pictures = {
        **{f"one level, {level}": saved(np.full((64, 64), level, np.uint8)) for level in (0, 1, 128, 254, 255)},
        **{f"{level} and two levels more": saved((noise + level).astype(np.uint8)) for level in (0, 120, 253)},
        "black but for a marker": saved(marked),
        "white but for a marker": saved(255 - marked),
        "JPEG of one level": saved(np.full((64, 64), 77, np.uint8), "JPEG"),
        "one level of 16 bits": saved(np.full((64, 64), 700, np.uint16)),
        "one colour": saved(np.full((64, 64, 3), (10, 90, 200), np.uint8)),
        "two faint colours": saved((noise[..., None] + np.array([10, 90, 200])).astype(np.uint8)),
    }

    def left_out(folder: Path, data: bytes) -> bool:
        return shown(folder, data) is None

    for name, data in pictures.items():
        yield "flat pictures", name, partial(left_out, data=data)
    ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8) // 4 + 100
    yield "flat pictures", "faint, not flat", lambda folder: shown(folder, saved(ramp)) is not None


def white_is_zero() -> Iterator[Case]:
    for dtype in (np.uint16, np.float32, np.int32):
        for low, high in ((0, 65535), (900, 3100)):
            ramp = np.linspace(low, high, 4096).reshape(64, 64).astype(dtype)

            def right(folder: Path, ramp: np.ndarray = ramp) -> bool:
                picture = shown(folder, saved(ramp, "TIFF", tiffinfo={262: 0}))
                return picture is None or (picture[0, 0, 0] > 250 and picture[-1, -1, 0] < 5)

            yield "deep TIFF with 0 as white", f"{np.dtype(dtype).name} {low} to {high}", right


def endings() -> Iterator[Case]:
    for pair in ((".png", ".PNG"), (".PNG", ".png"), (".jpg", ".JPG"), (".Png", ".pnG"), (".tif", ".TIF")):

        def right(folder: Path, pair: tuple[str, str] = pair) -> bool:
            found = opened(folder, files(pair), dark=f"dark/*{pair[0]}", bright=f"bright/*{pair[0]}")
            return len(found.images) == 12

        yield "endings in capitals", " beside ".join(pair), right


def loose() -> Iterator[Case]:
    extra = {
        "another ending": "dark/x.jpeg",
        "in capitals": "dark/x.TIFF",
        "another folder": "val/dark/x.png",
        "deeper": "dark/more/x.png",
        "DICOM without an ending": "dark/series/IM0001",
    }
    for name, path in extra.items():
        data = b"\0" * 128 + b"DICM" if "DICOM" in name else png(1)

        def right(folder: Path, path: str = path, data: bytes = data) -> bool:
            found = opened(folder, files() | {path: data}, dark="dark/*.png", bright="bright/*.png")
            return any("belongs to no class" in note for note in found.notes)

        yield "files of no class", name, right


def table(rows: Sequence[tuple[str, str]]) -> bytes:
    return "\n".join(["Path,Patient", *(f"{path},{patient}" for path, patient in rows)]).encode()


TABLE = '[[groups.tables]]\nfile = "t.csv"\nimage = "Path"\ngroup = "Patient"\n'


def rows_of_tables() -> Iterator[Case]:
    own = {name: re.findall(r"p\d+", name)[0] for name in files()}
    ways: dict[str, Callable[[str], str]] = {
        "as under the root": lambda name: name,
        "a folder above the root": lambda name: "CheXpert-v1.0-small/" + name,
        "two folders above": lambda name: "data/v1/" + name,
        "an absolute path": lambda name: "/mnt/archive/set/" + name,
        "of Windows": lambda name: "D:\\set\\" + name.replace("/", "\\"),
        "another folder's name": lambda name: "scans/" + Path(name).name,
        "./ before it": lambda name: "./" + name,
        "without ending, above the root": lambda name: "set/" + name.removesuffix(".png"),
    }
    for name, way in ways.items():

        def right(folder: Path, way: Callable[[str], str] = way) -> bool:
            rows = [(way(path), patient) for path, patient in own.items()]
            found = opened(folder, files() | {"t.csv": table(rows)}, TABLE)
            return not isinstance(found, str) and (found.n_groups, found.n_ungrouped) == (6, 0)

        yield "rows of group tables", name, right

    def other(folder: Path) -> bool:
        """Four names for thousands of files, rows of images that are not there, and an image in no row."""
        images = {
            f"{c}/p{n}/study1/view1.jpg": png(n) for c, s in (("dark", 0), ("bright", 5)) for n in range(s, s + 3)
        }
        rows = [(f"CheXpert/{name}", name.split("/")[1]) for name in list(images)[1:]]
        rows += [(f"CheXpert/dark/p{n}/study1/view1.jpg", f"p{n}") for n in (70, 71)]
        found = opened(folder, images | {"t.csv": table(rows)}, TABLE, dark="dark/**", bright="bright/**")
        return not isinstance(found, str) and (found.n_groups, found.n_ungrouped) == (6, 1)

    yield "rows of group tables", "CheXpert's four file names", other


def rules_that_place_nothing() -> Iterator[Case]:
    for pattern in (r"pateint\d+", r"^p\d+", r"P\d+$", r"(person\d+|IM-\d+)"):

        def pattern_refused(folder: Path, pattern: str = pattern) -> bool:
            found = opened(folder, files(), f"[groups]\npattern = '{pattern}'\n")
            return isinstance(found, str) and "'bright/" in found

        yield "group rules that place nothing", f"pattern {pattern}", pattern_refused
    for name, rows in {
        "other names": [("x1.png", "1"), ("x2.png", "2")],
        "patients as paths": [("p0", "dark"), ("p1", "dark")],
        "no row": [],
    }.items():

        def table_refused(folder: Path, rows: list[tuple[str, str]] = rows) -> bool:
            found = opened(folder, files() | {"t.csv": table(rows)}, TABLE)
            return isinstance(found, str) and "'bright/" in found

        yield "group rules that place nothing", f"table with {name}", table_refused

    def said(folder: Path) -> bool:
        found = opened(folder, files() | {"dark/odd.png": png(999)}, "[groups]\npattern = 'p\\d+'\n")
        return any("1 of 13" in note for note in found.notes)

    yield "group rules that place nothing", "1 of 13 images unplaced is said", said


def links() -> Iterator[Case]:
    def build(folder: Path) -> tuple[Path, Path]:
        root, pool = folder / "data/small/pictures", folder / "data/pool"
        for path in (root, pool / "dark", pool / "bright"):
            path.mkdir(parents=True)
        for name, data in files().items():
            (pool / name).write_bytes(data)
        return root, pool

    def each_file(folder: Path, relative: bool) -> bool:
        root, pool = build(folder)
        for name in files():
            (root / name).parent.mkdir(exist_ok=True)
            target = os.path.relpath(pool / name, (root / name).parent) if relative else pool / name
            (root / name).symlink_to(target)
        found = opened(folder, {}, data_root=folder / "data")
        return not isinstance(found, str) and len(found.images) == 12

    def folders(folder: Path) -> bool:
        root, pool = build(folder)
        for name in ("dark", "bright"):
            (root / name).symlink_to(pool / name)
        found = opened(folder, {}, data_root=folder / "data")
        return not isinstance(found, str) and len(found.images) == 12

    def twice(folder: Path) -> bool:
        (folder / "pictures/dark").mkdir(parents=True)
        (folder / "pictures/z").mkdir()
        for name, data in files().items():
            (folder / "pictures/z" / Path(name).name).write_bytes(data)
        (folder / "pictures/bright").symlink_to(folder / "pictures/z")
        found = opened(folder, {"dark/1.png": png(1)}, bright="z/*")
        return not isinstance(found, str) and len(found.images) == 13

    yield "links under the data root", "files, absolute", lambda folder: each_file(folder, False)
    yield "links under the data root", "files, relative", lambda folder: each_file(folder, True)
    yield "links under the data root", "folders", folders
    yield "links under the data root", "a folder under two names", twice


def archives() -> Iterator[Case]:
    dark = {name: data for name, data in files().items() if "dark" in name}
    bright = {name: data for name, data in files().items() if "bright" in name}

    def tar(folder: Path, ending: str, mode: str) -> bool:
        (folder / "pictures").mkdir()
        with tarfile.open(folder / f"pictures/dark{ending}", mode) as archive:  # type: ignore[call-overload]
            for name, data in dark.items():
                info = tarfile.TarInfo("./" + name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        found = opened(folder, bright)
        return not isinstance(found, str) and len(found.images) == 12

    for ending, mode in (
        (".tar", "w"),
        (".tar.gz", "w:gz"),
        (".tgz", "w:gz"),
        (".tar.bz2", "w:bz2"),
        (".tar.xz", "w:xz"),
    ):
        yield "tar files", ending, partial(tar, ending=ending, mode=mode)

    def pack(path: Path, members: Mapping[str, bytes]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path

    def deflate64(folder: Path) -> bool:
        path = pack(folder / "pictures/dark.zip", dark)
        data = path.read_bytes()
        for head, n_between in ((b"PK\x03\x04", 4), (b"PK\x01\x02", 6)):
            data = re.sub(rb"(%b(?s:.{%d}))(?s:..)" % (head, n_between), rb"\g<1>" + b"\x09\x00", data)
        path.write_bytes(data)
        found = opened(folder, bright)
        return isinstance(found, str) and "Deflate64" in found and "7z x" in found

    def nested(folder: Path, kind: str) -> bool:
        inner = pack(folder / "inner.zip", dark).read_bytes()
        if kind == "zip":
            pack(folder / "pictures/outer.zip", {"inner.zip": inner})
        else:
            (folder / "pictures").mkdir()
            (folder / f"pictures/dark.{kind}").write_bytes(b"Rar!")
        found = opened(folder, bright)
        return isinstance(found, str) and f".{kind} x 1" in found and "unpack" in found

    def raw(folder: Path, coding: str) -> Any:
        path = pack(folder / "pictures/all.zip", {f"0{n:07d}.png": png(n) for n in range(3)})
        data = path.read_bytes()
        for n in range(3):
            name = f"肺炎/{n}".encode(coding)
            data = data.replace(f"0{n:07d}.png".encode(), (name + b"x" * 12)[:8] + b".png")
        path.write_bytes(data)
        return opened(folder, bright, dark="肺炎/*.png")

    def gbk(folder: Path) -> bool:
        found = raw(folder, "gbk")
        return isinstance(found, str) and "GBK" in found and "unzip -O" in found

    yield "archives that cannot be read", "Deflate64", deflate64
    for kind in ("zip", "rar", "7z"):
        yield "archives that cannot be read", f"{kind} inside", partial(nested, kind=kind)
    yield "archives that cannot be read", "names in GBK", gbk
    yield (
        "archives that cannot be read",
        "names in unmarked UTF-8",
        lambda folder: not isinstance(raw(folder, "utf-8"), str),
    )


CASES = (flat, white_is_zero, endings, loose, rows_of_tables, rules_that_place_nothing, links, archives)
TESTS = {
    "flat pictures": "test_images.py",
    "deep TIFF with 0 as white": "test_images.py",
    "endings in capitals": "test_dataset.py",
    "files of no class": "test_dataset.py",
    "rows of group tables": "test_groups.py",
    "group rules that place nothing": "test_groups.py",
    "links under the data root": "test_tree.py",
    "tar files": "test_tree.py",
    "archives that cannot be read": "test_tree.py",
}


def try_all() -> dict[str, dict[str, bool]]:
    """Whether each input is read rightly, by kind."""
    found: dict[str, dict[str, bool]] = {}
    for cases in CASES:
        for kind, name, right in cases():
            with tempfile.TemporaryDirectory() as folder:
                try:
                    found.setdefault(kind, {})[name] = bool(right(Path(folder)))
                except Exception:  # whatever the code of before raises is wrong
                    found.setdefault(kind, {})[name] = False
    return found


def page(found: Mapping[str, Any]) -> str:
    rows = []
    for kind, now in found["now"].items():
        wrong = [
            Counter(found[when].get(kind, {}).values())[False] if when in found else "" for when in ("before", "now")
        ]
        rows.append(f"| {kind} | {len(now)} | {wrong[0]} | {wrong[1]} | `{TESTS_OF_THEM}/{TESTS[kind]}` |")
    listed = [f"* {kind}: {'; '.join(f'`{name}`' for name in now)}" for kind, now in found["now"].items()]
    return "\n".join(
        [
            "# Inputs that were tried",
            "",
            "`python -m benchmarks.inputs --before CHECKOUT` computes the table",
            "([inputs.json](../../benchmarks/results/inputs.json)): inputs of the kinds that people report, as they",
            "are written to disk, and how many are read wrongly, or left out without a word.",
            "",
            "| kind | inputs tried | wrong before | wrong after | test |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Pictures of DICOM are compared with dcmtk's in [dicom.md](dicom.md).",
            "",
            "## Which they are",
            "",
            *listed,
            "",
        ]
    )


STUDY = Study("inputs", page)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = STUDY.parser(__doc__)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--print", action="store_true", help="print what was found, and write nothing")
    given = parser.parse_args(arguments)
    # The code of another checkout is tried by this module in a process of its own, which imports it here.
    sys.path[:0] = filter(None, [os.environ.get("MEDPROBE_CHECKOUT")])
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    if given.before is not None:
        environment = os.environ | {"MEDPROBE_CHECKOUT": str(given.before.resolve())}
        command = [sys.executable, "-m", "benchmarks.inputs", "--print"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT).stdout
        found["before"] = json.loads(said)["now"]
    found["now"] = try_all()
    if given.print:
        print(json.dumps(found))
    else:
        STUDY.publish(found)
    return found


if __name__ == "__main__":
    main()
