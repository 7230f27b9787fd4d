"""What one model costs on one data set: by arithmetic from its shape, the pictures' sizes and the prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medprobe.diagnostics.evidence import SAMPLE
from medprobe.diagnostics.extraction.measurement import SHARD, answer_length
from medprobe.diagnostics.last_link.rewording import reversed_options
from medprobe.diagnostics.planning.checkpoint import Checkpoint
from medprobe.diagnostics.planning.gpus import BANDWIDTH, COMPUTE, RUNTIME, Gpu
from medprobe.diagnostics.planning.pictures import Pictures
from medprobe.diagnostics.settings import BATCH_SIZE, Settings
from medprobe.fixtures.models.registry import ModelSpec
from medprobe.fixtures.models.size import memory
from medprobe.fixtures.models.size.image_tokens import Seen
from medprobe.fixtures.models.size.memory import BYTES, Batch
from medprobe.fixtures.models.size.shapes import Shape

RANDOM_DRAWS = 5
"""Sets of random tokens whose likelihoods are kept beside those of the options."""
ARRAY, IMAGE = 90, 90
"""Bytes of a shard's header that name an array, and that hold an image's hash and a short answer."""


@dataclass(frozen=True)
class Cost:
    """`reads` are the forward passes: the images, and those of the controls that ask again (SAMPLE a wording, blank
    pictures). Tokens are those of the images; `tokens_counted` says whether the text's are counted by the checkpoint's
    tokenizer. Memory in bytes, of all GPUs together, at the largest batch that fits. Hours are estimates, of `n_gpus`
    at once.
    """

    model: str
    dataset: str
    images: int
    reads: int
    image_tokens: int
    prompt_tokens: int
    tokens_counted: bool
    bytes_stored: int
    weights: int
    working: int
    batch: int
    n_gpus: int
    memory_per_gpu: float
    flops: float
    hours: float


def cost(spec: ModelSpec, checkpoint: Checkpoint, pictures: Pictures, settings: Settings, gpu: Gpu) -> Cost:
    """The cost of `spec` on `pictures` under `settings` on GPUs of one kind. Raises UnknownArchitecture."""
    shape, dtype = checkpoint.shape, checkpoint.dtype
    text, counted = checkpoint.text_tokens(pictures.prompt)
    options = checkpoint.answer_tokens(pictures.answers)
    written = answer_length(spec, settings)
    views = [(checkpoint.view(*size), count) for size, count in pictures.sizes]
    n = pictures.n
    image_tokens = sum(view.tokens * count for view, count in views)
    again = n if settings.controls == "full" else min(SAMPLE, n)
    wordings = len(pictures.paraphrases) + (reversed_options(pictures.prompt, pictures.answers) is not None)
    passes = [n, *[again] * wordings, min(again, len(pictures.sizes))]
    reads = sum(passes)

    weights = memory.weights(shape, dtype, settings.load.quantize)
    usable = gpu.memory - RUNTIME
    n_gpus = math.ceil((weights + needed(shape, views, text, written, dtype, 1)) / usable)
    batch = settings.batch_size or BATCH_SIZE
    while batch > 1 and weights + needed(shape, views, text, written, dtype, batch) > n_gpus * usable:
        batch //= 2
    working = needed(shape, views, text, written, dtype, batch)

    one = sum(flops(shape, view, text, written, options) * count for view, count in views) / n
    twin = (
        0.0 if settings.load.quantize else sum(before_decoder(shape, view) * count for view, count in views) / n * again
    )
    work = one * reads + twin
    steps = written + len(options)
    decoding = math.ceil(reads / batch) * steps * decoded_bytes(shape, image_tokens / n + text, batch, weights, dtype)
    seconds = work / (COMPUTE * gpu.flops) + decoding / (BANDWIDTH * gpu.bandwidth)
    return Cost(
        model=spec.name,
        dataset=pictures.name,
        images=n,
        reads=reads,
        image_tokens=image_tokens,
        prompt_tokens=image_tokens + text * n,
        tokens_counted=counted,
        bytes_stored=sum(stored(shape, len(options), count) for count in passes),
        weights=weights,
        working=working,
        batch=batch,
        n_gpus=n_gpus,
        memory_per_gpu=(weights + working) / n_gpus + RUNTIME,
        flops=work,
        hours=seconds / 3600,
    )


def needed(shape: Shape, views: Sequence[tuple[Seen, int]], text: int, written: int, dtype: str, n_images: int) -> int:
    """Bytes beside the weights for a batch of the largest pictures."""
    largest = max((view for view, _ in views), key=lambda view: (view.tokens, view.rows))
    batch = Batch(n_images, n_images * largest.rows, n_images * largest.tokens, largest.tokens + text, written)
    return memory.working(shape, batch, dtype)


def stored(shape: Shape, n_options: int, n_images: int) -> int:
    """Bytes of features and answers in the store."""
    numbers = memory.feature_numbers(shape) + (1 + RANDOM_DRAWS) * n_options
    arrays = 2 * (shape.read_blocks + 1 + shape.layers + 1)
    return n_images * (numbers * memory.POOLED + IMAGE) + math.ceil(n_images / SHARD) * arrays * ARRAY


def before_decoder(shape: Shape, view: Seen) -> float:
    """Floating-point operations of tower and connector: two a parameter and row, and attention's two products."""
    reach = shape.whole_blocks * view.reach + (shape.vision_blocks - shape.whole_blocks) * shape.window
    tower = 2 * shape.tower_parameters * view.rows + 4 * view.rows * shape.vision_width * reach
    return tower + 2 * shape.connector_parameters * view.tokens


def flops(shape: Shape, view: Seen, text: int, written: int, options: Sequence[int]) -> float:
    """Floating-point operations of one picture: a prefill, the options scored, and an answer of the longest length."""
    prompt, head = view.tokens + text, 2 * shape.vocabulary * shape.width
    causal = 2 * prompt**2 * shape.queries * shape.attending
    prefill = 2 * shape.decoder_parameters * prompt + causal + head
    after = written + sum(options)
    token = 2 * shape.decoder_parameters + head + 4 * prompt * shape.queries * shape.attending
    return before_decoder(shape, view) + prefill + after * token


def decoded_bytes(shape: Shape, prompt: float, batch: int, weights: int, dtype: str) -> float:
    """Bytes read for one further token of a batch: the decoder's weights, the cache and the linear layers' states."""
    share = (shape.decoder_parameters + shape.vocabulary * shape.width) / shape.parameters
    cached = 2 * shape.attending * shape.keys * BYTES[dtype] * prompt + shape.state * 4
    return weights * share + cached * batch
