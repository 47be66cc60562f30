"""Matching an upstream state dict to our model, with two layers."""

import pytest
import torch
from torch import nn

from avsync.convert.upstream import convert_state


class Ours(nn.Module):
    """A convolution over (frames, height, width) and its norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 4, (5, 1, 2), bias=False)
        self.norm = nn.BatchNorm3d(4)


def upstream_of(name):
    return name.replace("conv.", "net.0.").replace("norm.", "net.1.")


def time_first(name, tensor):
    """Upstream has time last, BGR and 0..255."""
    return tensor.permute(0, 1, 4, 2, 3).flip(1) * 255 if name == "conv.weight" else tensor


@pytest.fixture
def ours():
    with torch.device("meta"):
        return Ours()


@pytest.fixture
def given():
    torch.manual_seed(0)
    state = {upstream_of(name): tensor.clone() for name, tensor in Ours().state_dict().items()}
    state["net.0.weight"] = torch.randn(4, 3, 1, 2, 5)
    return state


def convert(given, ours, **options):
    return convert_state(given, ours, upstream_of, time_first, **options)


def test_the_converted_state_loads_strictly_and_other_tensors_are_unchanged(given, ours):
    converted = convert(given, ours)
    model = Ours()
    model.load_state_dict(converted, strict=True)
    expected = given["net.0.weight"].double().permute(0, 1, 4, 2, 3).flip(1) * 255
    torch.testing.assert_close(model.conv.weight.data, expected.float(), rtol=0, atol=0)
    assert torch.equal(converted["norm.running_var"], given["net.1.running_var"])


def test_the_data_parallel_prefix_is_removed(given, ours):
    wrapped = {f"module.{name}": tensor for name, tensor in given.items()}
    torch.testing.assert_close(convert(wrapped, ours), convert(given, ours), rtol=0, atol=0)


def test_one_wrapped_name_among_others_is_not_unwrapped(given, ours):
    given["module.net.0.weight"] = given.pop("net.0.weight")
    with pytest.raises(RuntimeError, match=r"missing: net\.0\.weight; .*: module\.net\.0\.weight"):
        convert(given, ours)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_half_precision_is_widened_and_other_dtypes_stay(given, ours, dtype, expected):
    given = {k: v.to(dtype) if v.is_floating_point() else v for k, v in given.items()}
    converted = convert(given, ours)
    floating = {v.dtype for v in converted.values() if v.is_floating_point()}
    assert floating == {expected}
    assert converted["norm.num_batches_tracked"].dtype == torch.int64


def test_adapting_rounds_once(given, ours):
    def thrice(name, tensor):
        return time_first(name, tensor) / 3 * 3 / 255

    converted = convert_state(given, ours, upstream_of, thrice)
    exact = given["net.0.weight"].permute(0, 1, 4, 2, 3).flip(1)
    torch.testing.assert_close(converted["conv.weight"], exact, rtol=0, atol=0)


def test_missing_and_unexpected_tensors_are_listed_by_upstream_name(given, ours):
    given["net.9.weight"] = given.pop("net.1.weight")
    match = r"another model: 1 missing: net\.1\.weight; 1 unexpected: net\.9\.weight"
    with pytest.raises(RuntimeError, match=match):
        convert(given, ours)


def test_of_many_wrong_names_five_are_listed(ours):
    with pytest.raises(RuntimeError) as caught:
        convert({f"k{i}": torch.zeros(1) for i in range(9)} | {"num": torch.zeros(1)}, ours)
    assert "10 unexpected: k0, k1, k2, k3, k4 and 5 more" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_missing_name_is_listed_once_and_names_cannot_write_on_the_terminal(ours):
    with pytest.raises(RuntimeError, match=r"1 missing: w; 1 unexpected: \?\[2J$"):
        convert_state({"\x1b[2J": torch.zeros(1)}, ours, lambda name: "w")


def test_no_key_is_left_over_unless_it_is_ignored(given, ours):
    given["net.version"] = torch.tensor([float("nan")])
    with pytest.raises(RuntimeError, match=r"1 unexpected: net\.version"):
        convert(given, ours)
    assert convert(given, ours, ignored=[".version"]).keys() == ours.state_dict().keys()


@pytest.mark.parametrize("shape", [(4, 3, 1, 2, 4), (4, 3, 5, 1, 2), (4, 3, 2), ()])
def test_another_shape_is_reported_by_upstream_name(given, ours, shape):
    given["net.0.weight"] = torch.zeros(shape)
    with pytest.raises(
        RuntimeError, match=r"does not fit: 1 misshapen: net\.0\.weight \("
    ) as caught:
        convert(given, ours)
    assert f"{shape}, which does not give (4, 3, 5, 1, 2)" in str(caught.value)


def test_integer_weights_are_refused(given, ours):
    given["net.1.weight"] = torch.ones(4, dtype=torch.int64)
    with pytest.raises(RuntimeError, match=r"misshapen: net\.1\.weight torch\.int64"):
        convert(given, ours)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(given, ours, value):
    given["net.0.weight"][0, 0, 0, 0, 0] = value
    with pytest.raises(RuntimeError, match=r"1 not finite: net\.0\.weight"):
        convert(given, ours)


def test_a_file_from_before_the_counters_loads_as_torch_loads_it(given, ours):
    del given["net.1.num_batches_tracked"]
    assert convert(given, ours)["norm.num_batches_tracked"] == 0


def test_one_counter_missing_among_others_is_missing(given, ours):
    del given["net.1.num_batches_tracked"]
    given["net.8.num_batches_tracked"] = torch.tensor(0)
    with pytest.raises(RuntimeError, match=r"1 missing: net\.1\.num_batches_tracked"):
        convert(given, ours)


def test_the_given_checkpoint_is_not_modified(given, ours):
    before = {name: tensor.clone() for name, tensor in given.items()}
    convert(given, ours)
    torch.testing.assert_close(given, before, rtol=0, atol=0)
