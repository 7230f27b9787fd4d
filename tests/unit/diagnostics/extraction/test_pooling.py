import pytest
import torch

from medprobe.diagnostics.extraction import pooling


def test_means_are_over_each_images_own_rows() -> None:
    rows = pooling.Rows([torch.tensor([0]), torch.tensor([0, 0, 15])])
    states = torch.tensor([[1.0], [2.0], [4.0], [9.0]])
    assert rows.mean(states).tolist() == [[1.0], [5.0]]
    grid = rows.grid(states)
    assert grid.shape == (2, 16)
    assert grid[1, [0, 15]].tolist() == [3.0, 9.0]
    assert grid.count_nonzero() == 3


def test_only_the_images_own_places_in_the_decoder_count() -> None:
    at_image = torch.tensor([[False, True, True], [True, False, False]])
    rows = pooling.placed_rows(at_image, [torch.tensor([3, 3]), torch.tensor([5])])
    states = torch.tensor([[100.0], [1.0], [2.0], [7.0], [100.0], [100.0]])
    assert rows.mean(states).tolist() == [[1.5], [7.0]]
    assert rows.grid(states)[:, [3, 5]].tolist() == [[1.5, 0.0], [0.0, 7.0]]


def test_rows_that_are_too_many_are_refused() -> None:
    with pytest.raises(pooling.RowCountError, match="5 rows for images of 4"):
        pooling.Rows([torch.zeros(2), torch.zeros(2)]).mean(torch.zeros(5, 1))


def test_bfloat16_is_pooled_in_float32() -> None:
    states = (1 + torch.arange(512) / 1024).to(torch.bfloat16)[:, None]
    mean = pooling.Rows([torch.zeros(512, dtype=torch.long)]).mean(states)
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(states.double().mean().item(), rel=1e-6)


def test_regions_follow_the_picture() -> None:
    assert pooling.raster_regions(4, 4).tolist() == list(range(16))
    assert pooling.raster_regions(8, 4).reshape(8, 4)[:, 0].tolist() == [0, 0, 4, 4, 8, 8, 12, 12]
    assert pooling.sequence_regions(16).tolist() == list(range(16))
    assert pooling.run_regions(32).tolist() == [i // 2 for i in range(32)]


def test_merged_blocks_are_unfolded() -> None:
    blocks = pooling.merge_block_regions(8, 8, 2).reshape(16, 4)
    assert blocks.tolist() == [[i] * 4 for i in range(16)]


def test_prefix_tokens_belong_to_no_region() -> None:
    rows = pooling.batched_rows((2, 5), [1, 1], 1)
    states = torch.arange(10.0)[:, None]
    assert rows.mean(states).tolist() == [[2.5], [7.5]]


def test_tiles_are_pooled_by_image_and_must_add_up() -> None:
    rows = pooling.batched_rows((3, 4), [2, 1], 0)
    states = torch.arange(12.0)[:, None]
    assert rows.mean(states).tolist() == [[3.5], [9.5]]
    with pytest.raises(pooling.RowCountError, match="3 tiles for images of 4"):
        pooling.batched_rows((3, 4), [2, 2], 0)
