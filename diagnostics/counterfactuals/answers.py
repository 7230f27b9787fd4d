"""Answers of a loaded model under another input. Nothing is pooled: a pass reads the options, or the text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL.Image import Image

from medprobe.diagnostics.arrays import Features
from medprobe.diagnostics.counterfactuals.alternatives import Input
from medprobe.diagnostics.extraction.batches import Limit, read_all
from medprobe.diagnostics.extraction.extractor import Extractor
from medprobe.diagnostics.extraction.inputs import Inputs, prepared
from medprobe.diagnostics.extraction.options import options_of, prefill, score_options
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.models.input_settings import CannotAlter, altered
from medprobe.fixtures.models.loaded import LoadedModel

Asked = TypeVar("Asked")


class CannotAsk(ValueError):
    """The model cannot be asked under an input; one sentence that says why."""


class Asker:
    """Asks `loaded` the same question under alternative inputs. `passes` counts the images that went through it."""

    def __init__(
        self, loaded: LoadedModel, prompt: str, answers: Sequence[str], limit: Limit, max_new_tokens: int = 32
    ) -> None:
        self._loaded, self._prompt, self._answers = loaded, prompt, answers
        self._limit, self._max_new_tokens = limit, max_new_tokens
        self.passes = 0

    def seen(self, images: Sequence[ImageFile], alternative: Input | None = None) -> str:
        """A digest of what reaches the model: equal where an alternative changes nothing. Raises CannotAsk."""

        def compute(loaded: LoadedModel) -> str:
            numbers = {k: v for k, v in (alternative.changes if alternative else {}).items() if k.startswith("config.")}
            digest = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode())
            for image in images:
                batch = prepared(loaded, [_shown(image, alternative)], self._prompt).batch
                for name in sorted(batch.keys()):
                    value = batch[name]
                    if isinstance(value, torch.Tensor):
                        digest.update(f"{name} {tuple(value.shape)}".encode())
                        digest.update(value.float().contiguous().numpy().tobytes())
            return digest.hexdigest()

        return self._under(alternative, compute)

    def scores(self, images: Sequence[ImageFile], alternative: Input) -> Features:
        """Log-likelihoods of the options, [n_images, n_options]. Raises CannotAsk."""

        @torch.inference_mode()
        def compute(loaded: LoadedModel) -> Features:
            options = options_of(loaded, self._prompt, self._answers)

            def read(given: Inputs) -> Features:
                batch = given.on(loaded.device)
                found = score_options(loaded.model, options, batch, *prefill(loaded.model, batch))
                self.passes += given.n_images
                return found

            parts = list(
                read_all(
                    lambda chunk: prepared(loaded, chunk, self._prompt), read, _opened(images, alternative), self._limit
                )
            )
            return np.concatenate(parts)

        found = self._under(alternative, compute)
        if not np.isfinite(found).all():
            raise CannotAsk("the likelihoods are no numbers")
        return found

    def texts(self, images: Sequence[ImageFile], alternative: Input) -> list[str]:
        """The generated answers. Raises CannotAsk."""

        def compute(loaded: LoadedModel) -> list[str]:
            extractor = Extractor(loaded, self._prompt, self._answers, self._max_new_tokens)
            found: list[str] = []
            with extractor.hooked():
                for batch in read_all(extractor.prepare, extractor.read, _opened(images, alternative), self._limit):
                    found += batch.texts
                    self.passes += len(batch.texts)
            return found

        return self._under(alternative, compute)

    def _under(self, alternative: Input | None, compute: Callable[[LoadedModel], Asked]) -> Asked:
        try:
            changes = {} if alternative is None else alternative.changes
            return compute(altered(self._loaded, changes) if changes else self._loaded)
        except CannotAlter as error:
            raise CannotAsk(str(error)) from error
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # foreign code, under settings that nobody may have tried
            raise CannotAsk(f"it cannot be asked so ({type(error).__name__})") from error


def _opened(images: Sequence[ImageFile], alternative: Input | None) -> Any:
    return (_shown(image, alternative) for image in images)


def _shown(image: ImageFile, alternative: Input | None) -> Image:
    picture = None if alternative is None else alternative.picture
    return open_image(image if picture is None else image.altered(picture))
