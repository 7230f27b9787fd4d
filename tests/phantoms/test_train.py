"""Training: any family, tower first and then left alone, and a shipped phantom that is as healthy as it says."""

import json

import numpy as np
import pytest
import torch

from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms import phantom_path
from medprobe.fixtures.phantoms.families.checkpoints import build_family
from medprobe.fixtures.phantoms.train import Plan, examine, main, phantom_lesson, tower_exits, train, train_pair
from medprobe.fixtures.phantoms.turns import balanced, join, process, views

TINY = {"vision_layers": 2, "text_layers": 4}


@pytest.mark.parametrize(
    "family", ["llava", "gemma3", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "video_llama_3", "internvl"]
)
def test_every_kind_of_family_trains(family, tmp_path):
    lesson = phantom_lesson(seed=1, n_patients=12, images_per_patient=1)
    loaded = train(lesson, tmp_path, Plan(family, n_views=1, tower_steps=2, text_steps=2, sizes=TINY))
    again = load(resolve(str(tmp_path)))
    batch = join(process(loaded, lesson.images[:3], lesson.prompt), loaded.processor.tokenizer.pad_token_id)
    with torch.no_grad():
        # But for rounding: the weights lie elsewhere in memory.
        torch.testing.assert_close(loaded.model(**batch).logits, again.model(**batch).logits, rtol=1e-5, atol=1e-5)


def test_second_stage_leaves_the_tower_alone(tmp_path):
    lesson = phantom_lesson(seed=1, n_patients=12, images_per_patient=1)
    exits = []
    for steps in (0, 3):
        loaded = train(lesson, tmp_path / str(steps), Plan(n_views=1, tower_steps=2, text_steps=steps, sizes=TINY))
        batch = join(process(loaded, lesson.images, lesson.prompt), loaded.processor.tokenizer.pad_token_id)
        with torch.no_grad():
            exits.append(tower_exits(loaded, batch))
    # Trained twice, so that rounding has a few steps to grow; a step of the optimiser moves more than a percent.
    torch.testing.assert_close(*exits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_a_pair_trains_on_and_leaves_the_decoder_alone(family, tmp_path):
    lesson = phantom_lesson(seed=1, n_patients=12, images_per_patient=1)
    build_family(family, tmp_path / "base", texts=[lesson.prompt, *lesson.answers] * 8)
    before = load(resolve(str(tmp_path / "base")))
    after = train_pair(tmp_path / "base", lesson, tmp_path / "pair", Plan(family, n_views=1, text_steps=2))
    kept, now = before.model.state_dict(), after.model.state_dict()
    moved = {name for name in kept if not torch.equal(kept[name], now[name])}
    anatomy = before.anatomy
    for part in (anatomy.tower, anatomy.connector):
        assert any(name.startswith(f"{part}.") for name in moved)
    assert all(name.startswith((f"{anatomy.tower}.", f"{anatomy.connector}.")) for name in moved)


def test_shipped_phantom_is_healthy_on_images_never_trained_on():
    reached = examine(load(resolve("phantom")), phantom_lesson(seed=1, n_patients=60, images_per_patient=4))
    assert reached["tower"] >= 0.90
    assert reached["answer"] >= 0.94
    assert reached["unparseable"] == 0


def test_shipped_phantom_is_small():
    assert sum(path.stat().st_size for path in phantom_path().iterdir()) < 5_000_000


def test_command_trains_on_a_manifest(tmp_path, capsys):
    from medprobe.fixtures.phantoms.images import draw_dataset

    manifest = draw_dataset(tmp_path / "set", n_patients=60, images_per_patient=1, seed=2)
    out = tmp_path / "model"
    steps = ["--tower-steps", "1", "--text-steps", "1", "--views", "2"]
    main(["--out", str(out), "--dataset", str(manifest), "--held-out", str(manifest), *steps])
    assert json.loads((out / "training.json").read_text())["held_out"]["images"] == 60
    assert "answers" in capsys.readouterr().out


def test_batches_are_balanced():
    labels = np.array([0] * 90 + [1] * 8 + [2] * 2)
    batches = balanced(labels, 30, np.random.default_rng(0))
    for _ in range(5):
        assert np.bincount(labels[next(batches)]).tolist() == [10, 10, 10]


def test_first_view_is_the_image_itself():
    image = phantom_lesson(seed=1, n_patients=1, images_per_patient=1).images[0]
    seen = views(image, 3, np.random.default_rng(0))
    assert len(seen) == 3
    assert (np.asarray(seen[0]) == np.asarray(image)).all()
    assert (np.asarray(seen[1]) != np.asarray(image)).any()
