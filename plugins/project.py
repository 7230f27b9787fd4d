"""What a project settles for all its runs: `medprobe.toml` in the working folder, and what its hooks add."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError, create_model

from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.chain import FailureMode
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.errors import MedprobeError
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import PHANTOMS, registry

CONFIG = "medprobe.toml"
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


TYPED_ONLY = ("trust_remote_code", "offline")
"""Options of loading that no file decides: a repository that is checked out must not let a checkpoint run its code."""


class CallError(MedprobeError):
    """The call is wrong; one sentence with what was looked for and where."""


class Accepted(BaseModel):
    """A failure known and accepted until a day."""

    model_config = ConfigDict(extra="forbid")

    model: str
    dataset: str
    mode: FailureMode | Literal["subgroups"]
    reason: Annotated[str, AfterValidator(one_line)]
    until: date


class _Alias(BaseModel):
    """A model under a name of the project's own, with the options it needs; those of the command line win."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str
    """What `--model` takes: a folder, a hub id, or a built-in alias."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of loading that it brings, as they are written."""
        return {name: value for name, value in self if name != "checkpoint" and value is not None}


if TYPE_CHECKING:
    Alias = _Alias
else:
    written = {**get_type_hints(LoadOptions), "modules": str | None}
    Alias = create_model(
        "Alias", __base__=_Alias, **{name: (kind, None) for name, kind in written.items() if name not in TYPED_ONLY}
    )


class Config(BaseModel):
    """`medprobe.toml`; paths are relative to its folder."""

    model_config = ConfigDict(extra="forbid")

    data_root: str | None = None
    report_dir: str | None = None
    store: str | None = None
    thresholds: str | None = None
    baseline: str | None = None
    checks: list[str] = []
    accepted: list[Accepted] = []
    models: dict[Name, Alias] = {}
    datasets: dict[Name, str] = {}


def read(folder: Path) -> Config:
    """The settings of the project in `folder`; the defaults where it has none. Raises CallError."""
    path = folder / CONFIG
    if not path.is_file():
        return Config()
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CallError(f"{path} cannot be read: {error}") from None
    return _checked(table, str(path))


def checks(folder: Path) -> list[str]:
    """The project's own test files and folders. Raises CallError."""
    paths = [folder / Path(entry).expanduser() for entry in read(folder).checks]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise CallError(f"there are no checks at {missing[0]} (from checks in {folder / CONFIG})")
    return list(map(str, paths))


def settled(config: pytest.Config) -> Config:
    """What the working folder and the hooks say, for this run. Raises CallError."""
    return with_hooks(read(Path.cwd()), config)


def with_hooks(config: Config, pytest_config: pytest.Config) -> Config:
    """The settings with the data sets and models that the project's hooks name. Raises CallError."""
    hook = pytest_config.hook
    for setting, found in (
        ("datasets", hook.pytest_medprobe_datasets(config=pytest_config)),
        ("models", hook.pytest_medprobe_models(config=pytest_config)),
    ):
        for named in found:
            table = {name: _plain(value) for name, value in dict(named).items()}
            more = _checked({setting: table}, f"the hook pytest_medprobe_{setting}")
            known: dict[str, Any] = getattr(config, setting)
            _once(setting, known, table)
            config = config.model_copy(update={setting: {**known, **getattr(more, setting)}})
    return config


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _once(setting: str, known: Iterable[str], named: Iterable[str]) -> None:
    twice = sorted(set(known) & set(named))
    if twice:
        raise CallError(f"the name {twice[0]!r} is given twice among the project's {setting}; rename one")


def _checked(table: Mapping[str, Any], source: str) -> Config:
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise CallError(f"{source} has {where}, which is no setting; see docs/guides/project.md") from None
        raise CallError(f"{source} is wrong at {where}: {first['msg']}") from None
    for setting, builtin in (("models", {**PHANTOMS, **registry()}), ("datasets", dict.fromkeys(catalog.BUILTIN))):
        taken = sorted(set(getattr(config, setting)) & set(builtin))
        if taken:
            raise CallError(f"{source} is wrong at {setting}.{taken[0]}: that name is built in; choose another")
    return config
