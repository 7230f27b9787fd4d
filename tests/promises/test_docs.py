"""README and docs say what is there: links, commands, settings files, keys, error sentences."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from medprobe.command import COMMANDS
from medprobe.diagnostics.acceptance.criteria import Criteria
from medprobe.diagnostics.records.answer import RemedyName
from medprobe.diagnostics.records.chain import FAILURE_MODES
from medprobe.diagnostics.thresholds import Thresholds
from medprobe.fixtures.datasets.manifest import AttributeRule, Manifest
from medprobe.fixtures.models.registry import MODULES
from medprobe.plugins.options import OPTIONS
from medprobe.plugins.project import Config
from tests.places import RESULTS, ROOT
from tests.places import SCHEMA as SCHEMA_FILE

TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md")))
}
PASSING_ON = {"diagnose-pair"}
"""Subcommands that pass the suite's options on."""
ROOMS = ("benchmarks", "diagnostics", "docs", "fixtures", "medprobe", "plugins", "tests", ".ci")
"""Folders at the top: a path that begins with one is of a file in the repository."""
MODELS, NUMBERS = "docs/guides/models.md", "docs/reference/numbers.md"
SCORES = "docs/reference/scores.md"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)*^ {4}.*$", re.MULTILINE)
COMMAND = re.compile(r"(?:\.venv/bin/)?(pytest|medprobe|python|pip|make|allure|npm)(?= |$)")


def text(page: str) -> str:
    return PAGES[page].read_text("utf-8")


def without_fences(page: str) -> str:
    return FENCED.sub("", text(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_fences(page)):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (PAGES[page].parent / name) if name else PAGES[page]
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_linked() -> None:
    linked = {Path(link).name for page in PAGES for link in re.findall(r"\]\(([^)#\s]+\.md)", text(page))}
    assert {path.name for path in PAGES.values()} - {"README.md"} <= linked


def test_every_page_is_in_the_site() -> None:
    pages = re.findall(r"^ +- (?:.+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(pages) == sorted(page.removeprefix("docs/") for page in PAGES if page not in TOP)


@pytest.mark.parametrize("page", [page for page in PAGES if "docs/studies/" not in page])
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]+?)(?:::\w+)?`", without_fences(page))
    assert not [name for name in named if not ((ROOT / name).exists() or "NAME" in name)]


def commands(page: str) -> Iterator[str]:
    """Every command of a page: lines of fenced and indented blocks, and code in a line of prose."""
    prose = without_fences(page)
    blocks = [body for kind, body in FENCED.findall(text(page)) if kind != "toml"] + INDENTED.findall(prose)
    # A shell's and a folded YAML line go on with options.
    lines = [line.strip() for block in blocks for line in re.sub(r"\\?\n\s*(?=--)", " ", block).splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", INDENTED.sub("", prose))]
    yield from (line for line in [*lines, *spans] if COMMAND.match(line))


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ValueError(message)


@cache
def pytest_parser() -> Parser:
    """The suite's options, and those of others that the docs name."""
    parser = Parser(allow_abbrev=False, add_help=False)
    parser.add_argument("paths", nargs="*")
    for name, settings in OPTIONS:
        parser.add_argument(name, **settings)
    parser.add_argument("--junit-xml")
    parser.add_argument("-n")
    parser.add_argument("--alluredir")
    parser.add_argument("--clean-alluredir", action="store_true")
    parser.add_argument("--snapshot-update", action="store_true")
    parser.add_argument("--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--fixtures", action="store_true")
    return parser


def source_of(words: list[str]) -> tuple[Path, list[str]]:
    """The file that `python WORDS` runs, and its arguments."""
    if words[0] == "-m":
        module = ROOT / Path(*words[1].split("."))
        return module / "__main__.py" if module.is_dir() else module.with_suffix(".py"), words[2:]
    return ROOT / words[0], words[1:]


ADDING = {"add_argument", "parser"}
"""Methods that add the options they are given; the latter is that of a study, `benchmarks/study.py`."""


def options_of(source: Path) -> set[str]:
    """The options that a file adds to its parser, by calls or as rows of (name, settings); it is not run, since not
    every file has one.
    """
    nodes = list(ast.walk(ast.parse(source.read_text("utf-8"))))
    calls = (node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    given = [arg for call in calls if call.func.attr in ADDING for arg in call.args]  # type: ignore[attr-defined]
    rows = (node.elts for node in nodes if isinstance(node, ast.Tuple) and len(node.elts) == 2)
    given += [name for name, settings in rows if isinstance(settings, ast.Dict)]
    values = (arg.value for arg in given if isinstance(arg, ast.Constant))
    return {value for value in values if isinstance(value, str)}


def complaint(command: str) -> str | None:
    """What is wrong with a command, None if nothing is. Words in brackets are optional, and taken as given."""
    suite: set[str] = set()
    words = shlex.split(re.sub(r"[\[\]](?=--|$| )|(?<= )\[", "", command), comments=True)
    program, arguments = Path(words[0]).name, words[1:]
    if program == "medprobe" and arguments and arguments[0] in COMMANDS:
        suite = {name for name, _ in OPTIONS} if arguments[0] in PASSING_ON else suite
        program, arguments = "python", ["-m", COMMANDS[arguments[0]][0].partition(":")[0], *arguments[1:]]
    if program in ("pytest", "medprobe"):
        try:
            pytest_parser().parse_args(arguments)
        except ValueError as error:
            return str(error)
    if program == "python":
        source, given = source_of(arguments)
        if not source.is_file():
            return f"there is no {source.relative_to(ROOT)}"
        unknown = {word for word in given if word.startswith("-")} - options_of(source) - suite
        return f"{source.relative_to(ROOT)} has no {', '.join(sorted(unknown))}" if unknown else None
    if program == "make":
        targets = set(re.findall(r"^([\w./]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
        return None if set(arguments) <= targets else f"Makefile has no {arguments}"
    if program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        asked = {extra for word in arguments for extra in re.findall(r"^\.\[(\w+)\]$", word)}
        return None if asked <= set(extras) else f"there is no extra {asked - set(extras)}"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_be_called(page: str) -> None:
    wrong = {command: said for command in commands(page) if (said := complaint(command)) is not None}
    assert not wrong


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_the_makefile_names_tests_that_exist() -> None:
    said = subprocess.run(["make", "-n", "-o", ".venv/ready", "portable"], cwd=ROOT, capture_output=True, text=True)
    named = set(re.findall(r"tests/\S+\.py", said.stdout))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_commands_are_found_and_refused() -> None:
    found = list(commands("README.md"))
    assert "make test        # sets everything up in .venv and runs the suite's own tests" in found
    assert sum(command.startswith(".venv/bin/pytest") for command in found) >= 4
    gates = [command for command in commands("docs/guides/ci.md") if "--baseline" in command]
    assert len([command for command in gates if command.endswith("reports/junit.xml")]) == 4
    assert complaint("pytest --modell phantom") is not None
    assert complaint("pytest --probe forest") is not None
    assert complaint("python -m medprobe.commands.compare a.json b.json --fast") is not None
    assert complaint("python -m diagnostics.nothing") is not None
    assert complaint("medprobe --modell phantom") is not None
    assert complaint("medprobe compare a.json b.json --fast") is not None
    assert complaint("medprobe compare a.json b.json --fail-inconclusive") is None
    assert complaint("medprobe diagnose-pair --model phantom --after x --dataset busi") is None
    assert complaint("medprobe diagnose-pair --model phantom --afterwards x") is not None
    assert complaint("pip install '.[nothing]'") is not None


def modules(table: dict[str, Any]) -> None:
    if not set(table) <= set(MODULES):
        raise ValueError("no modules file")


def attributes(table: dict[str, Any]) -> None:
    if set(table) != {"attributes"}:
        raise ValueError("no part of a manifest")
    for rule in table["attributes"]:
        AttributeRule.model_validate(rule)


KINDS: tuple[tuple[set[str], Callable[[dict[str, Any]], object]], ...] = (
    ({"classes"}, Manifest.model_validate),
    ({"attributes"}, attributes),
    ({"accepted", "checks"}, Config.model_validate),
    ({"fixed", "purpose"}, Criteria.model_validate),
    ({"retention", "override", "health", "regression", "least"}, Thresholds.model_validate),
    (set(MODULES), modules),
)
"""Keys that tell a file's kind, and what validates it."""

TOML = [(page, body) for page in PAGES for kind, body in FENCED.findall(text(page)) if kind == "toml"]


@pytest.mark.parametrize(("page", "body"), TOML, ids=[f"{page}-{i}" for i, (page, _) in enumerate(TOML)])
def test_settings_files_are_valid(page: str, body: str) -> None:
    table = tomllib.loads(body)
    validate = next(check for keys, check in KINDS if keys & set(table))
    validate(table)


def fields(model: Any) -> set[str]:
    return set(model.model_fields)


def test_the_whole_manifest_is_shown() -> None:
    from medprobe.fixtures.datasets.dicom.ct_windows import CHANNELS, PRESETS
    from medprobe.fixtures.datasets.manifest import Finding, Groups, GroupTable, ImageClass, Labels, Subset, Windows

    first, *others = [tomllib.loads(body) for page, body in TOML if page == "docs/guides/datasets.md"]
    shown, tables = first, [first, *others]
    groups = shown["groups"]
    assert {key for table in tables for key in table} == fields(Manifest)
    assert {key for table in tables for entry in table["classes"] for key in entry} == fields(ImageClass)
    assert set(groups) == fields(Groups)
    assert set(groups["tables"][0]) == fields(GroupTable)
    assert set(shown["subset"]) == fields(Subset)
    assert {*shown["windows"], "preset"} == fields(Windows)
    page = text("docs/guides/datasets.md")
    assert all(f"`{key}`" in page for key in fields(Labels) | fields(Finding))
    for name, window in PRESETS.items():
        assert f"| `{name}` | {window.center} | {window.width} |" in page
    assert all(f'preset = "{name}"' in page for name in CHANNELS)


SCHEMA = json.loads(SCHEMA_FILE.read_text("utf-8"))
KEY = re.compile(r"[a-z_0-9]+(?:\.(?:[a-z_0-9]+|\*))*")


def variants(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records a schema stands for, with their names, whether it is one, a list, a table or a choice of them."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        yield name, SCHEMA["$defs"][name]
    for inner in (schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", [])):
        if isinstance(inner, dict):
            yield from variants(inner)


def fits(schema: dict[str, Any], path: list[str], passed: set[tuple[str, str]]) -> bool:
    """Whether a dotted path leads through a schema; a star is every property. Adds (record, property) to `passed`."""
    if not path:
        return True
    found = False
    for name, record in variants(schema):
        for key, value in record.get("properties", {}).items():
            if path[0] in (key, "*") and fits(value, path[1:], passed):
                passed.add((name, key))
                found = True
    return found


def leads(key: str, passed: set[tuple[str, str]]) -> bool:
    """Whether a dotted key is one of a diagnosis, or one below a key of the report."""
    path = key.split(".")
    below = SCHEMA["properties"].get(path[0], {}) if len(path) > 1 else {}
    return fits({"$ref": "#/$defs/Diagnosis"}, path, passed) or fits(below, path[1:], passed)


def enumerated(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {word for item in schema for word in enumerated(item)}
    if not isinstance(schema, dict):
        return set()
    own = {word for word in schema.get("enum", []) if isinstance(word, str)}
    return own | {word for value in schema.values() for word in enumerated(value)}


def named_keys() -> set[str]:
    return {span for span in re.findall(r"`([^`\n]+)`", text(NUMBERS) + text(SCORES)) if KEY.fullmatch(span)}


def test_keys_of_the_numbers_exist() -> None:
    values, top = enumerated(SCHEMA), set(SCHEMA["properties"])
    unknown = {key for key in named_keys() - {"ci", *values, *top} if not leads(key, set())}
    assert not unknown


def test_every_key_of_the_report_is_explained() -> None:
    passed: set[tuple[str, str]] = set()
    for key in named_keys():
        leads(key, passed)
    assert set(SCHEMA["properties"]) <= named_keys()
    # Of records under several keys (rewordings, the twin's exits) one is enough.
    explained = {name: {key for record, key in passed if record == name} for name in SCHEMA["$defs"]}
    unexplained = {
        name: missing
        for name, record in SCHEMA["$defs"].items()
        if (missing := set(record["properties"]) - explained[name])
    }
    assert not unexplained


def test_every_part_of_the_page_is_explained() -> None:
    page = (ROOT / "plugins" / "report" / "templates" / "diagnosis.html").read_text("utf-8")
    parts = set(re.findall(r"<h2>([^<]+)</h2>", page))
    assert len(parts) > 10
    assert parts <= set(re.findall(r"^## (.+)$", text("docs/guides/reading.md"), re.MULTILINE))


@cache
def sentences() -> str:
    """Every string of the code that says what is wrong, values as dots."""
    found = []
    for source in [*ROOT.glob("fixtures/**/*.py"), *ROOT.glob("diagnostics/**/*.py"), ROOT / "plugins" / "call.py"]:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "\N{HORIZONTAL ELLIPSIS}" for v in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_error_sentences_are_those_of_the_code() -> None:
    table = text(MODELS).partition("## What an error says")[2]
    said = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)[1:]
    assert len(said) > 15
    ellipsis = "\N{HORIZONTAL ELLIPSIS}"
    assert not [s for s in said if s.removeprefix(ellipsis).removesuffix(ellipsis).strip() not in sentences()]


def test_parts_named_by_hand_are_those_of_the_code() -> None:
    table = text(MODELS).partition("## What is found by itself")[2].partition("\n## ")[0]
    cells = " ".join(re.findall(r"^\| (`.+?) \|", table, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", cells)) == set(MODULES)


def test_health_scores_of_the_numbers_are_those_of_the_formula() -> None:
    from medprobe.diagnostics.scores import feature_health_score

    rows = re.findall(r"^\| ([.\d, ]+) \| (\d\.\d\d) \|$", text(NUMBERS), re.MULTILINE)
    assert len(rows) == 3
    for curve, score in rows:
        assert feature_health_score([float(p) for p in curve.split(", ")], 1000) == pytest.approx(
            float(score), abs=0.005
        )


def test_every_option_is_in_a_guide() -> None:
    guides = "\n".join(text(page) for page in PAGES if page == "README.md" or page.startswith("docs/guides/"))
    assert not [name for name, _ in OPTIONS if not re.search(rf"{name}(?![\w-])", guides)]


def test_every_remedy_is_in_its_guide() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", text("docs/guides/treatments.md"), re.MULTILINE)
    assert tuple(rows) == get_args(RemedyName)


def test_the_phantoms_have_as_many_faults_as_their_guide_says() -> None:
    from medprobe.fixtures.phantoms.faults import MECHANISMS

    healthy = {name for name, found in MECHANISMS.items() if found.kind == "healthy"}
    fed = {name for name, found in MECHANISMS.items() if found.kind == "misfeeds"}
    counts = (len(MECHANISMS) - len(healthy), len(MECHANISMS) - len(healthy) - len(fed), len(fed), len(healthy))
    guide = text("docs/guides/phantoms.md")
    stated = re.search(r"(\d+) mechanisms can.*?\* (\d+) destroy.*?\* (\d+) feed.*?(\d+) look-alikes", guide, re.DOTALL)
    assert stated
    assert tuple(map(int, stated.groups())) == counts


def test_causes_of_the_limits_are_those_of_the_matrix() -> None:
    made = json.loads((RESULTS / "causes.json").read_text("utf-8"))["runs"]
    runs = [run for run in made if "cannot" not in run]
    better = [run for run in runs if not run["error"] and run["difference_ci"] and run["difference_ci"][0] > 0]

    def of(kind: str, among: list[dict[str, Any]] = better) -> list[dict[str, Any]]:
        return [run for run in among if run["kind"] == kind]

    stage_of: dict[str | None, str] = {mode: stage for stage, mode in FAILURE_MODES.items()}
    shifted, joined, seeds = of("shifted"), of("co-adapted"), of("other seed")
    by_probes = sum(stage_of.get(run["probes"]) == run["module"] for run in shifted)
    right = [sum(run["named"] == run["module"] for run in kind) for kind in (shifted, joined)]
    wrong = [run for run in of("co-adapted", runs) if run["named"] not in ("none", run["module"])]
    unnamed = sum(run["named"] == "none" for run in seeds)
    limits = " ".join(text("docs/reference/limits.md").split())
    for sentence in (
        f"of {len(shifted)} such pairs probes name the module in {by_probes}, swapping modules in {right[0]}",
        f"{unnamed} of {len(seeds)} times none is named",
        f"{right[1]} of {len(joined)} are named right, and {len(wrong)} of {len(of('co-adapted', runs))} wrongly",
    ):
        assert sentence in limits


def test_the_example_is_the_one_of_the_readme() -> None:
    readme, reading = text("README.md"), text("docs/guides/reading.md")
    chain = re.search(r"reference [\d.]+ > .+", readme)
    loss = re.search(r"loses ([\d.]+ points \([\d.]+ to [\d.]+\))", readme)
    least = re.search(r"(\d+ images in \d+ groups) cannot show a loss under ([\d.]+) points", readme)
    assert chain
    assert chain[0] in reading
    assert loss
    assert loss[1] in reading
    assert least
    assert f"{least[2]} points for the {least[1]}" in reading


def test_a_package_index_shows_the_readme_without_what_it_does_not_have() -> None:
    """On an index nothing lies beside the page: pictures are left out, and of links to files the words stay."""
    described = re.sub(r"^!\[[^\]]*\]\((?!https:)[^)]*\)\n+", "", text("README.md"), flags=re.MULTILINE)
    described = re.sub(r"\[([^\]]+)\]\((?!https:)[^)]*\)", r"\1", described)
    path = ROOT / "medprobe" / "description.md"
    assert path.read_text("utf-8") == described, f"write to {path.name} what this test makes of README.md"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["readme"] == "medprobe/description.md"
