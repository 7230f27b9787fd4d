"""Features and answers of every image of a data set, from the store where they are there, from the model where not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics import store
from medprobe.diagnostics.extraction.ahead import ahead
from medprobe.diagnostics.extraction.answers import OPTION_SCORE, REASONING_TOKENS
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.extraction.small_pictures import DECODED, SmallPictures
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import Dataset
from medprobe.fixtures.datasets.errors import UnreadableImage
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.datasets.small_pictures import SmallPicture, open_both
from medprobe.fixtures.models.registry import ModelSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from medprobe.diagnostics.extraction.batches import Limit
    from medprobe.diagnostics.extraction.extractor import Batch, Extractor

SHARD = 64
"""Images in a shard: what an interruption, or the loss of a machine, costs at most. Small sets too have a few, which
many machines can share.
"""

OPTIONS, RANDOM_TOKENS = "options", "random_tokens"
"""Arrays that are no loci: log-likelihoods of the options, and of random tokens where an answer would start."""
Progress = Callable[[str, int, int], None]
Chunks = Sequence[Sequence[ImageFile]]


class Extract(Protocol):
    """Reads chunks of images under a model."""

    def __call__(
        self, model: ModelOnDemand, dataset: Dataset, chunks: Chunks, excluded: dict[str, str], progress: Progress
    ) -> Iterator[Extracted]:
        """`dataset` holds the question. Adds to `excluded` why an image was left out, by digest."""
        ...


class TooManyExcluded(RuntimeError):
    """More images could not be read than `--max-excluded` allows."""


@dataclass(frozen=True)
class Extracted:
    """A chunk of images, read: features and answers, and by digest the small pictures of those that are not altered."""

    shard: store.Shard
    small: dict[str, SmallPicture]


@dataclass(frozen=True)
class Measurement:
    """The readable images, what the store holds of them, and who was left out."""

    images: tuple[ImageFile, ...]
    excluded: tuple[tuple[ImageFile, str], ...]
    key: str
    folder: store.Folder

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([image.label for image in self.images], dtype=np.int64)

    @property
    def groups(self) -> NDArray[np.int64]:
        return np.array([image.group for image in self.images], dtype=np.int64)

    def loci(self) -> list[str]:
        return [name for name in self.folder.names() if name not in (OPTIONS, RANDOM_TOKENS)]

    def array(self, name: str) -> NDArray[np.float32]:
        """[n_images, width] features of a locus, or the log-likelihoods under OPTIONS or RANDOM_TOKENS."""
        return self.folder.arrays([name], [image.digest for image in self.images])[name]

    def texts(self) -> list[str]:
        return self.folder.texts([image.digest for image in self.images])


def measure(
    model: ModelOnDemand,
    dataset: Dataset,
    progress: Progress,
    extract: Extract | None = None,
    max_excluded: float | None = None,
) -> Measurement:
    """Fill the store with what is missing, in this process unless `extract` does it elsewhere, and describe it. Up to
    `max_excluded` of the images, by default the settings' share, may be unreadable. Raises TooManyExcluded and the
    errors of loading and reading.
    """
    spec, settings = model.spec, model.settings
    share = settings.max_excluded if max_excluded is None else max_excluded
    _allow(len(dataset.unreadable), len(dataset.images) + len(dataset.unreadable), (), share)
    if not spec.local:
        model.fetch()
    key = store.key(
        model=model.fingerprint(),
        prompt=dataset.prompt,
        options=dataset.answers,
        option_score=OPTION_SCORE,
        **settings.load.keyed(),
        max_new_tokens=answer_length(spec, settings),
    )
    folder = store.Folder(settings.store, key)
    excluded: dict[str, str] = {}
    if _missing(folder, dataset):
        # Parts of one extraction run side by side.
        with folder.lock("" if settings.shard is None else "-{}-of-{}".format(*settings.shard)):
            missing = _missing(folder, dataset)
            model.worked = folder.about().get("batch_size")
            small = SmallPictures(settings.store)
            for read in (extract or extract_here)(model, dataset, missing, excluded, progress):
                # Weights may be mapped rather than read, so they can change after loading too.
                model.require_unchanged()
                folder.describe(**model.about)
                small.keep(read.small)
                folder.add(read.shard)
    folder.used(spec.name, dataset.name)
    left_out = tuple((image, excluded[image.digest]) for image in dataset.images if image.digest in excluded)
    _allow(len(left_out) + len(dataset.unreadable), len(dataset.images) + len(dataset.unreadable), left_out, share)
    kept = tuple(image for image in dataset.images if image.digest not in excluded)
    return Measurement(kept, left_out, key, folder)


def part_of(dataset: Dataset, part: int, of: int) -> Dataset:
    """Every `of`-th chunk of the images, from the `part`-th on (counted from 1): whole shards of an extraction."""
    mine = {image.digest for chunk in _chunks(dataset)[part - 1 :: of] for image in chunk}
    return replace(dataset, images=tuple(image for image in dataset.images if image.digest in mine))


def _chunks(dataset: Dataset) -> Chunks:
    """The images, each once, SHARD at a time."""
    images = list({image.digest: image for image in dataset.images}.values())
    return [images[i : i + SHARD] for i in range(0, len(images), SHARD)]


def _missing(folder: store.Folder, dataset: Dataset) -> Chunks:
    """What the store does not hold of each chunk. The chunks are cut before it is known what is there, so that a run
    that goes on where another stopped puts the same images into a batch.
    """
    present = folder.images()
    missing = ([image for image in chunk if image.digest not in present] for chunk in _chunks(dataset))
    return [chunk for chunk in missing if chunk]


def answer_length(spec: ModelSpec, settings: Settings) -> int:
    """Tokens an answer may have: more where a published model is known to reason first."""
    reasons = spec.entry is not None and bool(spec.entry.quirks)
    return max(settings.max_new_tokens, REASONING_TOKENS) if reasons else settings.max_new_tokens


def _allow(n_excluded: int, n_images: int, left_out: Sequence[tuple[ImageFile, str]], share: float) -> None:
    if n_excluded > share * n_images:
        first = f", the first, {left_out[0][0].id[:12]}: {left_out[0][1]}" if left_out else ""
        raise TooManyExcluded(
            f"{n_excluded} of {n_images} images cannot be read, more than --max-excluded {share:g} allows{first}"
        )


def extract_here(
    model: ModelOnDemand,
    dataset: Dataset,
    chunks: Chunks,
    excluded: dict[str, str],
    progress: Progress,
) -> Iterator[Extracted]:
    """`chunks`, read in this process. Raises the errors of loading and reading."""
    done, n_images = 0, sum(map(len, chunks))
    opened = ahead(_open, (image for chunk in chunks for image in chunk), DECODED, 4)
    extractor: Extractor | None = None
    for chunk in chunks:
        images: list[ImageFile] = []
        pictures: list[Image] = []
        kept: dict[str, SmallPicture] = {}
        for image, picture, small, error in islice(opened, len(chunk)):
            if error is None:
                images.append(image)
                pictures.append(picture)
                if small is not None:
                    kept[image.digest] = small
            else:
                excluded[image.digest] = _nameless(error)
                warnings.warn(one_line(f"left out: {error}"), stacklevel=2)
        if not images:
            continue
        from medprobe.diagnostics.extraction.batches import read_all
        from medprobe.diagnostics.extraction.device_faults import Guard
        from medprobe.diagnostics.extraction.extractor import Extractor
        from medprobe.diagnostics.extraction.inputs import Inputs

        extractor = extractor or Extractor(
            model.load(), dataset.prompt, dataset.answers, answer_length(model.spec, model.settings)
        )
        with extractor.hooked():
            limit = _limit(model, extractor, pictures[0])
            read = Guard[Inputs](extractor.read, lambda given: given.n_images)
            batches = []
            for batch in read_all(extractor.prepare, read, pictures, limit, extractor.length):
                batches.append(batch)
                done += len(batch.texts)
                progress("extracting", done + len(excluded), n_images)
        yield Extracted(_shard(images, batches), kept)


def _limit(model: ModelOnDemand, extractor: Extractor, picture: Image) -> Limit:
    """As asked for, as it worked before, or what fits the memory of the GPU."""
    if model.unlimited and model.load().device.type == "cuda":
        from medprobe.diagnostics.extraction.batches import measured

        model.limit = measured(lambda: extractor.read([picture]), extractor.length(picture))
    return model.limit


def _shard(images: Sequence[ImageFile], batches: Sequence[Batch]) -> store.Shard:
    arrays = {name: np.concatenate([b.features[name] for b in batches]) for name in batches[0].features}
    arrays[OPTIONS] = np.concatenate([b.option_log_likelihoods for b in batches])
    arrays[RANDOM_TOKENS] = np.concatenate([b.random_log_likelihoods for b in batches])
    return store.Shard([image.digest for image in images], arrays, [text for b in batches for text in b.texts])


def _open(image: ImageFile) -> tuple[ImageFile, Any, SmallPicture | None, Exception | None]:
    try:
        picture, small = open_both(image) if image.alteration is None else (open_image(image), None)
    except (UnreadableImage, OSError) as error:
        return image, None, None, error
    return image, picture, small, None


def _nameless(error: Exception) -> str:
    """Why, without what the image is called."""
    known = error.__cause__
    if isinstance(known, UnreadableImage):
        return one_line(str(known))
    source = known if isinstance(known, OSError) else error
    return f"the file cannot be read ({getattr(source, 'strerror', None) or type(source).__name__})"
