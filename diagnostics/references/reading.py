"""What the reference reads on a data set, kept in the store: read or trained once, then shared by all models.

The key of what is kept holds the data set, its readable images and the folds, never a model. What was kept first stays:
weights that come to hand later do not replace a reference trained from scratch, so that every model of a store is
compared with one and the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics import reference_presets, store
from medprobe.diagnostics.arrays import Features, Ints
from medprobe.diagnostics.extraction.measurement import Progress
from medprobe.diagnostics.extraction.small_pictures import SmallPictures
from medprobe.diagnostics.probes.reading import Reading, best
from medprobe.diagnostics.probes.ridge import read
from medprobe.diagnostics.records.chain import Reference
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.image_file import ImageFile

Found = tuple[Reading, Reference]


@dataclass(frozen=True)
class ReferenceRows:
    """What is read: images with labels, groups and folds, [n_images] each; `key` names them and the probe in the
    store."""

    images: Sequence[ImageFile]
    labels: Ints
    groups: Ints
    folds: Ints
    key: Mapping[str, Any]


def read_reference(rows: ReferenceRows, settings: Settings, progress: Progress) -> Found:
    """The reading of `settings.reference` and what it is. Raises UnknownReference and StoreError."""
    network = reference_presets.resolve(settings.reference)
    read_it = _kmeans if network == reference_presets.DEFAULT else _timm

    def compute() -> dict[str, NDArray[Any]]:
        reading, about = read_it(network, rows, settings, progress)
        return {
            "log_probabilities": reading.log_probabilities,
            "inner_accuracy": reading.inner_accuracy,
            "about": np.frombuffer(about.model_dump_json().encode(), dtype=np.uint8),
        }

    kept = store.remembered(settings.store, store.key(reference=network, **rows.key), compute)
    about = Reference.model_validate_json(kept.pop("about").tobytes())
    return Reading(**kept), about


def _kmeans(network: str, rows: ReferenceRows, settings: Settings, progress: Progress) -> Found:
    from medprobe.diagnostics.probes.attention import read_attention
    from medprobe.diagnostics.references import kmeans

    progress("reading the reference", 0, 1)
    regions = kmeans_regions(rows.images, settings)
    side_by_side = regions.reshape(len(regions), -1)
    readouts = [
        _by_probe(regions.mean(axis=1), rows, settings),
        _by_probe(side_by_side, rows, settings),
        read_attention(side_by_side, rows.labels, rows.folds, settings.seed),
    ]
    return best(readouts, rows.folds), Reference(
        network=kmeans.NAME,
        pretrained=False,
        origin="filters learnt from these images without their labels, read as a stage's exit is: mean, regions, "
        "attention",
        raised_by=None,
    )


def kmeans_regions(images: Sequence[ImageFile], settings: Settings) -> Features:
    """[n_images, regions, filters] of the default reference, remembered, since the permutation null reads them too."""
    from medprobe.diagnostics.references import kmeans

    def compute() -> dict[str, Features]:
        grey = np.stack([small.grey64 for small in SmallPictures(settings.store).of(images)])
        return {"regions": kmeans.features(kmeans.pixels(grey), settings.seed)}

    key = store.key(regions=kmeans.NAME, images=[image.digest for image in images], seed=settings.seed)
    return store.remembered(settings.store, key, compute)["regions"]


def _timm(network: str, rows: ReferenceRows, settings: Settings, progress: Progress) -> Found:
    from medprobe.diagnostics.references import networks, training

    try:
        weights = networks.weights_at_hand(network, settings.load.offline)
    except networks.NotAtHand as reason:
        recipe = training.RECIPE
        # A network with a head of its own does not depend on the probe.
        fold_of = {key: value for key, value in rows.key.items() if key != "probe"}

        def remember(fold: int, train: Any) -> dict[str, NDArray[Any]]:
            name = store.key(reference=network, fold=fold, recipe=asdict(recipe), **fold_of)
            return store.remembered(settings.store, name, train)

        reading = training.read_from_scratch(
            network,
            lambda sight: np.stack(list(networks.pixels(rows.images, sight))),
            rows.labels,
            rows.folds,
            settings.seed,
            recipe,
            remember,
            progress,
        )
        return reading, Reference(
            network=network,
            pretrained=False,
            origin=f"trained from scratch on the training part of each fold, {recipe.epochs} epochs; "
            f"no pretrained weights were found: {reason}",
            raised_by=None,
        )
    loaded = networks.pretrained(network, weights)
    features = networks.pooled_features(loaded, networks.Sight.of(network), rows.images, progress)
    return _by_probe(features, rows, settings), Reference(
        network=network,
        pretrained=True,
        origin=f"pretrained weights {weights.source}, read by the probe",
        raised_by=None,
    )


def _by_probe(features: Features, rows: ReferenceRows, settings: Settings) -> Reading:
    return read(settings.probe, features, rows.labels, rows.groups, rows.folds, settings.seed)
