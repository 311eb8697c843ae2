import pytest
import torch
import torch.nn.functional as F

from skipln import norms


@pytest.fixture
def maps() -> torch.Tensor:
    return 3 + 2 * torch.randn(4, 6, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def build(name: str, dim: int, layout: str, **options: object) -> torch.nn.Module:
    norm = norms.create(name, **options)(dim, layout).double()
    for i, parameter in enumerate(norm.parameters()):
        parameter.data = torch.linspace(0.5 + i, 1.5 + i, parameter.numel(), dtype=torch.float64).view_as(parameter)
    return norm


def test_layer_norm_of_a_feature_map_is_over_channel_height_width(maps):
    norm = build("layer", 6, "nchw")
    mean = maps.mean((1, 2, 3), keepdim=True)
    std = (maps.var((1, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    gain, bias = (p[:, None, None] for p in (norm.weight, norm.bias))
    torch.testing.assert_close(norm(maps), gain * (maps - mean) / std + bias)


def test_layer_norm_with_axes_channel_is_per_pixel(maps):
    norm = build("layer", 6, "nchw", axes="channel")
    expected = F.layer_norm(maps.movedim(1, -1), (6,), norm.weight, norm.bias).movedim(-1, 1)
    torch.testing.assert_close(norm(maps), expected)
    assert not torch.allclose(norm(maps), build("layer", 6, "nchw")(maps))


@pytest.mark.parametrize("name", ["layer", "rms"])
def test_layouts_agree_on_single_pixels(name, maps):
    pixel = maps[:, :, :1, :1]
    tokens = pixel.flatten(2).transpose(1, 2)
    as_map, as_tokens = build(name, 6, "nchw")(pixel), build(name, 6, "btc")(tokens)
    torch.testing.assert_close(as_map.flatten(2).transpose(1, 2), as_tokens)


def test_batch_norm_equals_torchs_on_maps_and_counts_real_positions_in_sequences(maps):
    ours, theirs = build("batch", 6, "nchw"), torch.nn.BatchNorm2d(6).double()
    theirs.weight.data, theirs.bias.data = ours.weight.data, ours.bias.data
    for _ in range(3):
        torch.testing.assert_close(ours(maps), theirs(maps))
    torch.testing.assert_close(ours.eval()(maps), theirs.eval()(maps))

    x, mask = torch.randn(3, 4, 6, dtype=torch.float64), torch.rand(3, 4) > 0.4
    y = build("batch", 6, "btc")(x, mask)
    assert (y[~mask] == 0).all()
    norm = build("batch", 6, "btc")
    torch.testing.assert_close(y[mask], norm(x[mask][None])[0])


@pytest.mark.parametrize(("layout", "shape"), [("btc", (1, 1, 4)), ("nchw", (1, 4, 1, 1))])
def test_batch_norm_refuses_a_single_value(layout, shape):
    norm = norms.create("batch")(4, layout)
    with pytest.raises(ValueError, match="cannot train on one value per channel: use a larger batch"):
        norm(torch.randn(shape))
    assert norm.eval()(torch.randn(shape)).isfinite().all()


def test_the_registry_is_strict():
    every = ["ada", "batch", "derf", "dyt", "layer", "layer_simple", "mimic", "none", "rms", "scale"]
    assert norms.names() == every
    with pytest.raises(ValueError, match=f"unknown norm 'group': choose one of {', '.join(every)}"):
        norms.create("group")
    with pytest.raises(ValueError, match="scale has no option 'axes': its options are eps"):
        norms.create("scale", axes="all")
    with pytest.raises(ValueError, match="axes is a word 'all' or 'channel', not 'pixel'"):
        norms.create("layer", axes="pixel")
