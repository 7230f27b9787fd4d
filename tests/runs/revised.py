"""Loaded with `-p` into an inner run: its models are of the revision that the variable REVISION says."""

import os
from dataclasses import replace

import pytest

from medprobe.plugins.options import CALL


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    call = config.stash[CALL]
    models = [replace(pair.model, revision=os.environ["REVISION"]) for pair in call.pairs]
    pairs = tuple(replace(pair, model=model) for pair, model in zip(call.pairs, models, strict=True))
    config.stash[CALL] = replace(call, pairs=pairs)
