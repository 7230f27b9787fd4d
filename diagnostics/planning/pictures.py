"""How many pictures of which size a data set has: counted in its files, or as published where they are not here."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.facts import file_facts
from medprobe.fixtures.datasets.manifest import load_manifest

FACTS = catalog.PUBLISHED / "facts.toml"


@dataclass(frozen=True)
class Pictures:
    """Pictures by (width, height), and of every image a diagnosis would judge its class and patient group; these are
    empty where they are not known. `note` says where the numbers are from if not from the files.
    """

    name: str
    sizes: tuple[tuple[tuple[int, int], int], ...]
    prompt: str
    answers: tuple[str, ...]
    paraphrases: tuple[str, ...] = ()
    note: str | None = None
    labels: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        return sum(count for _, count in self.sizes)


def count(manifest: Path, data_root: Path | None, max_images: int | None, seed: int) -> Pictures:
    """The pictures that a diagnosis would read, each once, sizes from the files' headers. Raises DataError."""
    dataset = open_dataset(manifest, data_root, max_images, seed)
    distinct = {image.digest: image for image in dataset.images}
    sizes: Counter[tuple[int, int]] = Counter()
    for image in distinct.values():
        try:
            facts = file_facts(image.read_bytes())
        except (OSError, ValueError):
            # No picture: a diagnosis leaves it out too.
            continue
        sizes[facts.width, facts.height] += 1
    return Pictures(
        name=dataset.name,
        sizes=tuple(sorted(sizes.items())),
        prompt=dataset.prompt,
        answers=dataset.answers,
        paraphrases=dataset.paraphrases,
        labels=tuple(dataset.labels()),
        groups=tuple(dataset.groups()),
    )


def published(manifest: Path, max_images: int | None) -> Pictures:
    """A built-in data set as its publication describes it."""
    asked = load_manifest(manifest)
    facts = tomllib.loads(FACTS.read_text("utf-8"))[asked.name]
    n = min(facts["images"], max_images or facts["images"])
    labels, groups = _dealt(facts["groups"], [entry.answer for entry in asked.classes])
    return Pictures(
        name=asked.name,
        sizes=(((facts["width"], facts["height"]), n),),
        prompt=asked.prompt,
        answers=tuple(entry.answer for entry in asked.classes),
        paraphrases=asked.paraphrases,
        note=facts["source"],
        labels=labels if n == facts["images"] else (),
        groups=groups if n == facts["images"] else (),
    )


def _dealt(patients: dict[str, dict[str, int]], answers: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Class and group of each image, from the number of patients by their number of images."""
    labels: list[int] = []
    groups: list[int] = []
    group = 0
    for k, answer in enumerate(answers):
        for size, count in patients[answer].items():
            for _ in range(count):
                labels += [k] * int(size)
                groups += [group] * int(size)
                group += 1
    return tuple(labels), tuple(groups)
