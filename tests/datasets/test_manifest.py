from __future__ import annotations

import re
from pathlib import Path

import pytest

from medprobe.fixtures.datasets.catalog import BUILTIN, resolve
from medprobe.fixtures.datasets.manifest import DataError, load_manifest

GOOD = """name = "mine"
modality = "MRI"
prompt = "Tumour or not?"
[[classes]]
answer = "tumour"
images = ["a/*.png"]
[[classes]]
answer = "none"
images = ["b/*.png"]
"""


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(GOOD)
    manifest = load_manifest(tmp_path)
    assert manifest == load_manifest(tmp_path / "manifest.toml")
    assert (manifest.root, manifest.seen, manifest.subset, manifest.groups.pattern) == (".", (), None, None)
    assert [entry.words for entry in manifest.classes] == [("tumour",), ("none",)]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "mine"', "", "name: is missing"),
        ('name = "mine"', 'name = "../mine"', "name: "),
        ('name = "mine"', 'name = "mine"\nlimit = 3', "limit: is not a key"),
        ('answer = "none"', 'answer = "Tumour"', "'tumour' names both 'tumour' and 'Tumour'"),
        ('answer = "none"', 'answer = "none"\nsynonyms = ["no  tumour", "TUMOUR"]', "names both"),
        ('answer = "none"', 'answer = "none"\nsynonims = []', "classes[2].synonims: is not a key"),
        ('images = ["a/*.png"]', 'images = "a/*.png"', "classes[1].images: input should be a valid list"),
        ('images = ["a/*.png"]', "images = []", "classes[1].images: "),
        ('images = ["a/*.png"]', 'images = ["../a/*.png"]', "must not contain '..'"),
        ('images = ["a/*.png"]', 'images = ["a/../../x"]', "must not contain '..'"),
        ('images = ["a/*.png"]', 'images = ["/etc/*.png"]', "must be relative"),
        ('images = ["a/*.png"]', "images = ['C:\\a']", "must be relative"),
        ('prompt = "Tumour or not?"', 'prompt = " "', "prompt: must not be empty"),
        ('prompt = "Tumour or not?"', 'prompt = "Tumour or not?"\nroot = "/data"', "root: '/data' must be relative"),
        ('prompt = "Tumour or not?"', 'prompt = "Tumour or not?"\nroot = "x/.."', "root: "),
        ('prompt = "Tumour or not?"', 'prompt = "Tumour or not?"\nseen = ["../x"]', "seen[1]: "),
        ('prompt = "Tumour or not?"', 'prompt = "x"\nsubset = {part = 3, of = 2}', "part 3 of 2 does not exist"),
        ('prompt = "Tumour or not?"', 'prompt = "x"\nsubset = {part = 0, of = 2}', "subset.part: "),
        ('prompt = "Tumour or not?"', 'prompt = "x"\ngroups = {pattern = "(x"}', "is not a regular expression"),
        (
            'prompt = "Tumour or not?"',
            'prompt = "x"\ngroups = {tables = [{file = "x.csv"}]}',
            "tables[1].image: is missing",
        ),
        ('modality = "MRI"', "modality = ", "not valid TOML"),
        (GOOD[GOOD.rindex("[[classes]]") :], "", "classes: "),
    ],
)
def test_a_mistake_is_one_sentence_with_the_path(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DataError) as caught:
        load_manifest(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message
    assert message.endswith(".")


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(GOOD.replace("Tumour", "Tümör").encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load_manifest(tmp_path / "latin.toml")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'none.toml'}: there is no such")):
        load_manifest(tmp_path / "none.toml")


@pytest.mark.parametrize("name", [name for name in BUILTIN if name != "phantom"])
def test_the_published_sets_are_manifests(name: str) -> None:
    assert load_manifest(resolve(name)).name == name


def test_resolve_takes_files_and_folders_and_lists_names(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(GOOD)
    assert resolve(str(tmp_path)) == resolve(str(tmp_path / "manifest.toml")) == tmp_path / "manifest.toml"
    with pytest.raises(DataError, match=r"'bussi' is neither one of busi, covid19-ct, chest-xray, phantom"):
        resolve("bussi")


def test_a_manifest_extends_another(tmp_path: Path) -> None:
    """By its own keys over the other's, wherever the two lie; the first in the chain is known."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "mine.toml").write_text(GOOD)
    (tmp_path / "b" / "other.toml").write_text('extends = "../a/mine.toml"\nprompt = "Is it one?"\n')
    (tmp_path / "last.toml").write_text('extends = "b/other.toml"\nseen = ["x.png"]\n')
    base, last = load_manifest(tmp_path / "a" / "mine.toml"), load_manifest(tmp_path / "last.toml")
    assert (last.name, last.classes, last.prompt, last.seen) == ("mine", base.classes, "Is it one?", ("x.png",))
    assert last.extends == str(tmp_path / "a" / "mine.toml")


def test_a_manifest_extends_a_built_in_set(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "busi"\nmodality = "ultrasound, again"\n')
    manifest = load_manifest(tmp_path / "mine.toml")
    assert (manifest.name, manifest.modality) == ("busi", "ultrasound, again")
    assert manifest.extends == str(resolve("busi"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('extends = "none.toml"', "extends: there is no manifest {folder}/none.toml"),
        ('extends = "mine.toml"', "the manifest extends itself"),
        ("extends = 3\n" + GOOD, "extends: input should be a valid string"),
    ],
)
def test_what_cannot_be_extended_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(DataError) as caught:
        load_manifest(tmp_path / "mine.toml")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'mine.toml'}: ")
    assert says.format(folder=tmp_path) in message
