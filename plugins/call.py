"""What a command line asks for, resolved to plain data or refused in one sentence. Imports no torch."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from medprobe.diagnostics import reference_presets
from medprobe.diagnostics.acceptance.criteria import CriteriaFile, load_criteria
from medprobe.diagnostics.baselines.baseline import BaselineError, Match, match, same_question
from medprobe.diagnostics.records.least import check_names
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.settings import FOLD_SEEDS, Settings
from medprobe.diagnostics.store import StoreError, located
from medprobe.diagnostics.thresholds import ThresholdError, Thresholds, load_thresholds
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.dataset import check_dataset
from medprobe.fixtures.datasets.errors import DataError
from medprobe.fixtures.datasets.manifest import by_finding, load_manifest
from medprobe.fixtures.models.kinship import visible_difference
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelError, ModelSpec, check_adapter, check_processor, read_modules
from medprobe.fixtures.models.registry import resolve as resolve_model
from medprobe.plugins.project import CONFIG, Accepted, Alias, CallError, Config

PUBLISHED = ("busi", "covid19-ct", "chest-xray")
PHANTOM = "phantom"
HANDOVER = ".handover"
ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class DatasetSpec:
    """A data set as asked for: `name` is its name in test ids."""

    asked: str
    name: str

    def manifest(self) -> Path:
        """The manifest; the phantom's images are drawn when it is first asked for."""
        return catalog.resolve(self.asked)

    def question(self) -> tuple[str, list[str]]:
        """The prompt and the answers it asks for, without drawing the phantom's images."""
        if self.asked == PHANTOM:
            from medprobe.fixtures.phantoms.images import ANSWERS, PROMPT

            return PROMPT, list(ANSWERS)
        manifest = load_manifest(self.manifest())
        return manifest.prompt, [entry.answer for entry in manifest.classes]

    def has_attributes(self) -> bool:
        """Whether its manifest names attributes, without drawing the phantom's images, which have none."""
        return self.asked != PHANTOM and bool(load_manifest(self.manifest()).attributes)


@dataclass(frozen=True)
class Pair:
    model: ModelSpec
    dataset: DatasetSpec

    @property
    def id(self) -> str:
        return f"{self.model.name}-{self.dataset.name}"


@dataclass(frozen=True)
class Call:
    """Everything a run was asked for."""

    pairs: tuple[Pair, ...]
    settings: Settings
    report_dir: Path
    fail_inconclusive: bool
    accepted: tuple[Accepted, ...]
    gate: Gate
    baseline: Mapping[Pair, Match]
    """What each pair is compared with; empty without the regression gate."""
    save_baseline: Path | None
    run: str = ""
    """Names this run among others that write into the same report folder; its workers have the same."""
    least: Mapping[Pair, Sequence[str]] = field(default_factory=dict)
    """The checks of what the thresholds require of each pair."""
    criteria: CriteriaFile | None = None
    """The criteria that an acceptance record is made of."""
    error_code: int | None = None
    """The exit code where a model could not be measured and no check failed."""
    include_images: bool = False
    """Whether the pages show images of the data set."""
    own: Mapping[str, LoadOptions] = field(default_factory=dict)
    """How the models are loaded that have an alias, by name."""

    @property
    def handover(self) -> Path:
        """The folder by which the processes of this run, and of no other, hand results over."""
        return self.report_dir / HANDOVER / self.run

    def settings_of(self, pair: Pair) -> Settings:
        """The settings of one diagnosis."""
        return replace(self.settings, load=self.own.get(pair.model.name, self.settings.load))

    def accepts(self, model: str, dataset: str, mode: str) -> Accepted | None:
        """The entry that accepts this failure today."""
        today = date.today()
        for entry in self.accepted:
            if (entry.model, entry.dataset, entry.mode) == (model, dataset, mode) and today <= entry.until:
                return entry
        return None


def resolve(options: Mapping[str, Any], folder: Path, config: Config) -> Call:
    """The call of `options` (named as on the command line, with underscores) in a project. Raises CallError."""

    def given(name: str, variable: str | None = None) -> Path | None:
        return _place(options[name] or (os.environ.get(variable) if variable else None), name, folder, config)

    data_root = data_folder(options["data_root"], folder, config)
    try:
        reference_presets.resolve(options["reference"])
        store = located(options["store"] or config.store, folder)
        criteria = _criteria(options["acceptance"])
        thresholds = load_thresholds(given("thresholds")) if criteria is None else criteria.thresholds
        models = [model_of(spec, config.models.get(spec)) for spec in options["model"] or [PHANTOM]]
        pairs = tuple(
            Pair(model, dataset)
            for model in models
            for dataset in _datasets(
                options["dataset"] or ([PHANTOM] if model.is_phantom else PUBLISHED), data_root, config.datasets
            )
        )
    except (ModelError, DataError, ThresholdError, reference_presets.UnknownReference, StoreError) as error:
        raise CallError(str(error)) from None
    _once("model", [model.name for model in models])
    _once("data set", [pair.dataset.name for pair in pairs if pair.model is models[0]])
    _refuse_contradictions(options, len(models))
    load = load_options(options)
    baseline = given("baseline", "MEDPROBE_BASELINE")
    gate = _gate(options, baseline, criteria)
    compares = baseline is not None and gate in ("regression", "both")
    compared = _baseline(baseline.absolute(), pairs, options) if baseline is not None and compares else {}
    required = _required(pairs, thresholds)
    if gate == "least" and not any(required.values()):
        raise CallError("--gate least needs a [least] table in the thresholds, which says what is required")
    against, against_adapter = _against(options["against"], models[0], config.models)
    found = {
        "store": store,
        "data_root": data_root,
        "load": load,
        "thresholds": thresholds,
        "against": against,
        "against_adapter": against_adapter,
        "tuned_from": _tuned_from(options["tuned_from"], config.models),
        "fold_seeds": FOLD_SEEDS if compared or options["save_baseline"] else 1,
    }
    as_typed = {setting.name: options[setting.name] for setting in fields(Settings) if setting.name in options}
    return Call(
        pairs=pairs,
        settings=Settings(**(as_typed | found)),
        report_dir=(given("report_dir") or Path("reports")).absolute(),
        fail_inconclusive=bool(options["fail_inconclusive"]),
        accepted=tuple(config.accepted),
        gate=gate,
        baseline=compared,
        save_baseline=Path(options["save_baseline"]).expanduser().absolute() if options["save_baseline"] else None,
        least=required,
        criteria=criteria,
        error_code=options["error_code"],
        include_images=bool(options["include_images"]),
        own={
            name: load_options(options, config.models[name]) for name in options["model"] or () if name in config.models
        },
    )


def _criteria(asked: str | None) -> CriteriaFile | None:
    """The criteria of an acceptance record. Raises ThresholdError."""
    return None if asked is None else load_criteria(Path(asked).expanduser(), date.today())


def _gate(options: Mapping[str, Any], baseline: Path | None, criteria: CriteriaFile | None) -> Gate:
    """The gate asked for, that of the criteria, or what the baseline makes it. Raises CallError."""
    asked: Gate | None = options["gate"]
    if criteria is not None and asked not in (None, "both", criteria.gate):
        raise CallError(f"the criteria are judged by --gate {criteria.gate}, not {asked}; leave out --gate")
    gate: Gate = asked or ("absolute" if baseline is None else "both")
    if criteria is not None and asked is None:
        gate = criteria.gate
    if gate in ("regression", "both") and baseline is None:
        wanted = f"--gate {gate} needs" if asked else "the criteria hold margins, which need"
        raise CallError(f"{wanted} a baseline: name one with --baseline, MEDPROBE_BASELINE or {CONFIG}")
    return gate


def _required(pairs: Iterable[Pair], thresholds: Thresholds) -> dict[Pair, list[str]]:
    """The checks of what is required of each pair. Raises CallError for what its data set does not have."""
    if not thresholds.require:
        return {}
    try:
        asked = {p: thresholds.least_of(p.model.name, p.dataset.name, p.dataset.question()[1]) for p in pairs}
    except ThresholdError as error:
        raise CallError(str(error)) from None
    return {pair: check_names(names) for pair, names in asked.items()}


def data_folder(asked: str | None, folder: Path, config: Config) -> Path | None:
    """The folder of data sets: as asked, of the environment, or of the project in `folder`. Raises CallError."""
    root = _place(asked or os.environ.get("MEDPROBE_DATA"), "data_root", folder, config)
    if root is not None and not root.is_dir():
        raise CallError(f"there is no data folder {root.absolute()} (from --data-root, MEDPROBE_DATA or {CONFIG})")
    return root


def _place(asked: str | None, name: str, folder: Path, config: Config) -> Path | None:
    """A path as asked, or as the project's file has it, which is relative to the project."""
    if asked:
        return Path(asked).expanduser()
    written = getattr(config, name, None)
    return folder / Path(written).expanduser() if written else None


def _refuse_contradictions(options: Mapping[str, Any], n_models: int) -> None:
    """Options that make no sense together, or here. Raises CallError."""
    for name in ("processor", "modules", "adapter", "against", "tuned_from"):
        if options[name] and n_models > 1:
            raise CallError(f"--{name.replace('_', '-')} makes sense for one model, and {n_models} are given")
    if options["engine"] == "ray" and importlib.util.find_spec("ray") is None:
        raise CallError("--engine ray needs the package ray: pip install ray")
    if options["acceptance"] and options["thresholds"]:
        raise CallError("--acceptance holds the thresholds of the run; leave out --thresholds")
    if options["shard"] and options["acceptance"]:
        raise CallError("--shard judges nothing, so there is nothing to accept; leave out --acceptance")
    if options["shard"] and options["save_baseline"]:
        raise CallError("--shard judges nothing, so there is no baseline to save; leave out --save-baseline")


def _baseline(path: Path, pairs: tuple[Pair, ...], options: Mapping[str, Any]) -> dict[Pair, Match]:
    """What each pair is compared with; what shows without hashing an image is checked here. Raises CallError."""
    try:
        found = match(path, [(p.model.name, p.dataset.name) for p in pairs])
    except BaselineError as error:
        raise CallError(str(error)) from None
    for pair, matched in zip(pairs, found, strict=True):
        saved = matched.saved.predictions
        try:
            same_question(saved, *pair.dataset.question(), options["probe"])
        except BaselineError as error:
            raise CallError(f"{path}: {error}") from None
        if options["max_images"] is not None and len(saved.images) > options["max_images"]:
            raise CallError(
                f"{path}: the baseline of {saved.model} on {saved.dataset} has {len(saved.images)} images, more than "
                f"--max-images {options['max_images']}; give the number it was made with"
            )
    return dict(zip(pairs, found, strict=True))


def model_of(spec: str, alias: Alias | None) -> ModelSpec:
    """The model of what `--model` was given; under the project's alias, if it is one."""
    return resolve_model(spec) if alias is None else replace(resolve_model(alias.checkpoint), name=spec)


def load_options(options: Mapping[str, Any], alias: Alias | None = None) -> LoadOptions:
    """What `options` and, where they say nothing, the model's alias ask for: files read, folders found to be there.
    Raises CallError.
    """
    typed = {option.name: options.get(option.name) for option in fields(LoadOptions)}
    given: dict[str, Any] = {
        **({} if alias is None else alias.options),
        **{name: value for name, value in typed.items() if value is not None},
    }
    if "processor" in given:
        _require_processor(given["processor"])
    if "modules" in given:
        given["modules"] = _modules(given["modules"])
    if "adapter" in given:
        given["adapter"] = adapter_folder(given["adapter"])
    return LoadOptions(**given)


def _datasets(asked: Iterable[str], data_root: Path | None, own: Mapping[str, str]) -> Iterator[DatasetSpec]:
    for name in asked:
        if name == PHANTOM:
            yield DatasetSpec(name, PHANTOM)
            continue
        written = own.get(name, name)
        manifest = load_manifest(catalog.resolve(written))
        if name in own and manifest.name != name:
            raise CallError(f"{written} is named {manifest.name!r} in itself and {name!r} in the project; use one name")
        for one in by_finding(written):
            path = catalog.resolve(one)
            check_dataset(path, data_root)
            yield DatasetSpec(one, load_manifest(path).title)


def _once(what: str, names: list[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise CallError(f"two {what}s are named {twice[0]!r}; rename one, since results are told apart by name")


def _require_processor(given: str) -> None:
    try:
        check_processor(given)
    except ModelError as error:
        raise CallError(str(error)) from None


def _modules(path: str) -> dict[str, Any]:
    try:
        return read_modules(Path(path).expanduser())
    except ModelError as error:
        raise CallError(str(error)) from None


def _against(spec: str | None, model: ModelSpec, own: Mapping[str, Alias]) -> tuple[ModelSpec | None, str | None]:
    """The second checkpoint and its adapter; an adapter folder alone is `model` with it."""
    if spec is None:
        return None, None
    if (Path(spec).expanduser() / ADAPTER).is_file():
        folder = adapter_folder(spec)
        detail = [f"revision {model.revision}"] if model.revision else []
        return replace(
            model, name=f"{model.name} ({', '.join([*detail, f'adapter {Path(str(folder)).name}'])})"
        ), folder
    against = _other("--against", spec, own)
    difference = visible_difference(model, against)
    if difference is not None:
        raise CallError(
            f"--against {spec} is of another architecture than {model.name}, so their modules cannot be swapped: "
            f"{difference}"
        )
    return against, adapter_folder(own[spec].options.get("adapter")) if spec in own else None


def _tuned_from(spec: str | None, own: Mapping[str, Alias]) -> str | None:
    return None if spec is None else _other("--tuned-from", spec, own).name


def _other(option: str, spec: str, own: Mapping[str, Alias]) -> ModelSpec:
    """The checkpoint that an option beside `--model` names. Raises CallError."""
    try:
        return model_of(spec, own.get(spec))
    except ModelError as error:
        raise CallError(f"{option}: {error}") from None


def adapter_folder(path: str | None) -> str | None:
    """The absolute path of a PEFT folder. Raises CallError."""
    if path is None:
        return None
    folder = Path(path).expanduser().absolute()
    try:
        check_adapter(folder)
    except ModelError as error:
        raise CallError(str(error)) from None
    return str(folder)
