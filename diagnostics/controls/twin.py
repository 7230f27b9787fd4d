"""The untrained twin: the same tower and connector with random weights, read where the model hands over.

What a random network of this shape reads, the training did not have to bring (Saxe et al. 2011, "On random weights and
unsupervised feature learning"; Zhang and Bowman 2018 for probes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Floats, Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.further_questions import images_at
from medprobe.diagnostics.judgement import exits
from medprobe.diagnostics.judgement.exits import Candidate, Choice
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.loci import exit_loci
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.probes.ridge import read
from medprobe.diagnostics.records.controls import Twin, TwinExit
from medprobe.diagnostics.scores import signal_of
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from medprobe.diagnostics.extraction.inputs import Inputs
    from medprobe.fixtures.models.loaded import LoadedModel

Opened = tuple[ImageFile, "Image"]
Seen = Callable[[ImageFile, "Image"], None]


class Offloaded(RuntimeError):
    """Weights lie on no device, so they can be neither drawn anew nor brought back."""


def unseen(image: ImageFile, picture: Image) -> None:
    """Nobody else needs the picture."""


def run(evidence: Evidence, see: Seen = unseen) -> Twin:
    """Signal of twin and model at the vision and connector exits, on the same images and folds. `see` is shown every
    picture that is decoded for the twin.
    """
    e = evidence
    rows = e.sample()
    labels, groups = e.labels[rows], e.groups[rows]
    names = [name for name in exit_loci(e.measured.loci()) if name.startswith(("vision.", "connector."))]
    if e.settings.load.quantize is not None:
        return _unread(rows, "weights that are quantised cannot be drawn anew")
    try:
        fold = folds.assign(labels, groups, e.settings.n_folds, e.settings.seed)
    except folds.TooFewGroups as error:
        return _unread(rows, str(error))
    e.progress("reading the untrained twin", 0, 1)
    digests = [e.measured.images[row].digest for row in rows]
    content = {
        **e.reader.key,
        "features": e.measured.key,
        "images": digests,
    }

    def remembered(whose: str, features: dict[str, Features] | None) -> dict[str, Reading]:
        def compute() -> dict[str, Floats]:
            found = _twin_features(e, rows, see) if features is None else features
            arrays = {}
            for name in names:
                reading = read(e.settings.probe, found[name], labels, groups, fold, e.settings.seed)
                arrays[f"{name} log_probabilities"] = reading.log_probabilities
                arrays[f"{name} inner_accuracy"] = reading.inner_accuracy
            return arrays

        arrays = store.remembered(e.settings.store, store.key(twin=whose, **content), compute)
        return {name: Reading(arrays[f"{name} log_probabilities"], arrays[f"{name} inner_accuracy"]) for name in names}

    own = remembered("model", {name: e.measured.array(name)[rows] for name in names})
    try:
        twin = remembered("twin", None)
    except Offloaded as error:
        return _unread(rows, str(error))
    found = {}
    for stage in ("vision", "connector"):
        of_model, of_twin = (_exit(readings, stage, fold).predictions for readings in (own, twin))
        found[stage] = TwinExit(
            model=signal_of(labels, of_model, e.n_classes),
            twin=signal_of(labels, of_twin, e.n_classes),
            twin_accuracy=float(np.mean(of_twin == labels)),
        )
    return Twin(n_images=len(rows), reason=None, **found)


@contextmanager
def drawn_anew(loaded: LoadedModel, seed: int) -> Iterator[None]:
    """Inside, tower and connectors have random weights; after, the old ones to the bit.

    Every tensor of two dimensions or more is drawn from a normal distribution of variance 1/fan-in (LeCun et al. 1998),
    which keeps activations alive at any width, where initialisers made for training with a fixed deviation of 0.02 do
    not. Vectors (biases, gains of norms and layers) stay: the channels they act on are exchangeable once drawn anew.
    """
    import torch

    anatomy = loaded.anatomy
    tensors = {
        id(parameter): parameter
        for name in (anatomy.tower, anatomy.connector, *anatomy.deepstack)
        for parameter in loaded.model.get_submodule(name).parameters()
        if parameter.ndim > 1 and parameter.is_floating_point()
    }
    if any(parameter.is_meta for parameter in tensors.values()):
        raise Offloaded("weights that are offloaded cannot be drawn anew")
    saved = {key: parameter.detach().to("cpu", copy=True) for key, parameter in tensors.items()}
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for parameter in tensors.values():
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        yield
    finally:
        with torch.no_grad():
            for key, parameter in tensors.items():
                parameter.copy_(saved[key])


def _twin_features(evidence: Evidence, rows: Ints, see: Seen) -> dict[str, Features]:
    from medprobe.diagnostics.extraction.batches import read_all
    from medprobe.diagnostics.extraction.extractor import Extractor

    loaded, dataset = evidence.model.load(), evidence.dataset
    pictures = ((image, open_image(image)) for image in images_at(evidence, rows))
    extractor = Extractor(loaded, dataset.prompt, dataset.answers)

    def prepare(chunk: Sequence[Opened]) -> Inputs:
        for image, picture in chunk:
            see(image, picture)
        return extractor.prepare([picture for _, picture in chunk])

    def length(opened: Opened) -> int:
        return extractor.length(opened[1])

    with extractor.hooked(), drawn_anew(loaded, evidence.settings.seed):
        limit = evidence.model.limit
        batches = list(read_all(prepare, extractor.read_before_decoder, pictures, limit, length))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _exit(readings: Mapping[str, Reading], stage: str, fold: Ints) -> Choice:
    """As the chain's exits: the stage's own readouts, for the tower the connector's too."""
    stages = ("vision.", "connector.") if stage == "vision" else ("connector.",)
    candidates = [
        Candidate(name, reading.predictions, reading.inner_accuracy)
        for name, reading in readings.items()
        if name.startswith(stages)
    ]
    return exits.choose(candidates, fold)


def _unread(rows: Ints, reason: str) -> Twin:
    return Twin(n_images=len(rows), reason=reason, vision=None, connector=None)
