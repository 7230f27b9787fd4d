"""Saved predictions that later runs are compared with: one JSON file a run. Imports neither numpy nor scipy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from medprobe.diagnostics.records.chain import Record
from medprobe.diagnostics.records.report import Predictions


class BaselineError(ValueError):
    """A baseline cannot be used; one sentence with what was looked for and where."""


class Saved(Record):
    """The predictions of one diagnosis."""

    revision: str | None
    predictions: Predictions


class Baseline(Record):
    schema_version: Literal[1] = Field(default=1, alias="baseline_schema")
    saved: datetime
    versions: dict[str, str | None]
    diagnoses: list[Saved]

    model_config = Record.model_config | {"populate_by_name": True, "serialize_by_alias": True}

    @property
    def models(self) -> set[str]:
        return {saved.predictions.model for saved in self.diagnoses}

    def find(self, dataset: str, model: str) -> Saved | None:
        found = (s for s in self.diagnoses if (s.predictions.model, s.predictions.dataset) == (model, dataset))
        return next(found, None)


class Match(Record):
    """What one diagnosis is compared with, and the base name of the file that holds it."""

    file: str
    saved: Saved


def now() -> datetime:
    return datetime.now(UTC)


def target(path: Path, saved: datetime) -> Path:
    """The file to write: `path` itself if it ends in .json and is no folder, else one in that folder, by time."""
    if path.suffix == ".json" and not path.is_dir():
        return path
    return path / f"baseline-{saved:%Y%m%dT%H%M%S%f}.json"


def load(path: Path) -> Baseline:
    """Raises BaselineError."""
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BaselineError(f"there is no baseline {path}; write one with --save-baseline {path}") from None
    except OSError as error:
        raise BaselineError(f"the baseline {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise BaselineError(
            f"the baseline {path} cannot be read: wrong at {where}: {first['msg']}; write it anew with --save-baseline"
        ) from None


def match(path: Path, pairs: list[tuple[str, str]]) -> list[Match]:
    """What each (model, data set) is compared with.

    Of a folder, the newest file that holds that model on that data set. Of a file, that model, or any where the file
    holds one model only. Raises BaselineError where one has nothing to be compared with.
    """
    if path.is_dir():
        files = [(file, load(file)) for file in sorted(path.glob("*.json"))]
        if not files:
            raise BaselineError(f"the baseline folder {path} holds no *.json; write one with --save-baseline {path}")
        files.sort(key=lambda pair: pair[1].saved, reverse=True)
    else:
        files = [(path, load(path))]
    return [_match(path, files, model, dataset) for model, dataset in pairs]


def _match(path: Path, files: list[tuple[Path, Baseline]], model: str, dataset: str) -> Match:
    for file, baseline in files:
        single = not path.is_dir() and len(baseline.models) == 1
        saved = baseline.find(dataset, next(iter(baseline.models)) if single else model)
        if saved is not None:
            return Match(file=file.name, saved=saved)
    held = sorted({f"{s.predictions.model} on {s.predictions.dataset}" for _, b in files for s in b.diagnoses})
    raise BaselineError(
        f"the baseline {path} does not hold {model} on {dataset}; it holds {', '.join(held) or 'nothing'}"
    )


def comparable(baseline: Predictions, current: Predictions) -> None:
    """Raises BaselineError where two runs read other data, asked another question, or read with another probe."""
    same_question(baseline, current.prompt, current.classes, current.probe)
    if baseline.data_fingerprint != current.data_fingerprint:
        raise _other(baseline, "data", baseline.data_fingerprint, current.data_fingerprint)


def same_question(baseline: Predictions, prompt: str, classes: list[str], probe: str) -> None:
    """Raises BaselineError; what can be known before anything is loaded."""
    for name, was, is_ in (
        ("prompt", baseline.prompt, prompt),
        ("classes", baseline.classes, classes),
        ("probe", baseline.probe, probe),
    ):
        if was != is_:
            raise _other(baseline, name, was, is_)


def _other(baseline: Predictions, name: str, was: object, is_: object) -> BaselineError:
    return BaselineError(
        f"the baseline of {baseline.model} on {baseline.dataset} has another {name}: {was!r}, here {is_!r}; "
        "compare runs of one data set, prompt and probe, or write the baseline anew with --save-baseline"
    )
