import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from paa.checks import OutOfRange
from paa.datasets.rng import AUGMENT, Rng
from paa.datasets.transforms import Transform, pad, target_size


def picture(height, width, seed=0):
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8))


def plain(**arguments):
    return Transform(**{"mean": (0, 0, 0), "std": (1, 1, 1), "scale": 255, "flip": 0, **arguments})


NONE = torch.zeros(0, 4)


@pytest.mark.parametrize(
    ("size", "rule", "expected"),
    [
        ((480, 640), "round", (800, 1067)),
        ((480, 640), "truncate", (800, 1066)),
        ((480, 640), "half_up", (800, 1067)),
        ((640, 427), "round", (1199, 800)),
        ((640, 427), "truncate", (1199, 800)),
        ((300, 900), "round", (444, 1333)),
        ((300, 900), "truncate", (444, 1332)),
        ((300, 900), "half_up", (444, 1333)),
        ((2, 900), "round", (3, 1333)),
        ((800, 800), "truncate", (800, 800)),
        ((800, 1200), "truncate", (800, 1200)),
    ],
)
def test_sizes_by_hand(size, rule, expected):
    assert target_size(*size, 800, 1333, rule) == expected


def authors_size(image_size, size, max_size):
    """The authors' code, transforms.py, `Resize.get_size`, with its arithmetic; returns (h, w)."""
    w, h = image_size
    min_original, max_original = float(min((w, h))), float(max((w, h)))
    if max_original / min_original * size > max_size:
        size = round(max_size * min_original / max_original)
    if (w <= h and w == size) or (h <= w and h == size):
        return (h, w)
    if w < h:
        return (int(size * h / w), size)
    return (size, int(size * w / h))


@settings(max_examples=300, deadline=None)
@given(st.integers(20, 3000), st.integers(20, 3000), st.integers(100, 1000))
def test_truncated_sizes_against_the_authors(height, width, short):
    assert target_size(height, width, short, 1333, "truncate") == authors_size((width, height), short, 1333)


@settings(max_examples=300, deadline=None)
@given(st.integers(20, 3000), st.integers(20, 3000), st.integers(100, 1000))
def test_sizes_keep_the_bounds_and_the_shape(height, width, short):
    for rule in ("round", "half_up"):
        h, w = target_size(height, width, short, 1333, rule)
        assert max(h, w) <= 1333
        assert min(h, w) <= short
        assert min(h, w) == short or max(h, w) == 1333
        scale = min(short / min(height, width), 1333 / max(height, width))
        assert abs(h - height * scale) <= 0.5 + 1e-6
        assert abs(w - width * scale) <= 0.5 + 1e-6


def test_no_resize_leaves_pixels_and_boxes():
    image, boxes = picture(20, 30), torch.tensor([[1.0, 2, 3, 4]])
    pixels, out = plain()(image, boxes)
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(image).astype(np.float32))
    assert torch.equal(out, boxes)


@pytest.mark.parametrize("rule", ["round", "truncate"])
def test_resize_is_pils_bilinear(rule):
    image = picture(48, 64)
    pixels, boxes = plain(short=30, resize=rule)(image, torch.tensor([[6.4, 4.8, 64.0, 48.0]]))
    expected = np.asarray(image.resize((40, 30), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), expected.astype(np.float32))
    assert torch.allclose(boxes, torch.tensor([[4.0, 3, 40, 30]]))


def test_half_up_interpolates_without_averaging():
    image = picture(48, 64)
    pixels, _ = plain(short=30, resize="half_up")(image, NONE)
    source = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(source, (30, 40), mode="bilinear", align_corners=False)[0]
    assert (pixels - expected).abs().max() <= 0.501
    assert torch.equal(pixels, pixels.round())


@pytest.mark.parametrize("rule", ["round", "truncate", "half_up"])
def test_interpolation_is_a_choice_beside_the_size(rule):
    image = picture(48, 64)
    made = {how: plain(short=30, resize=rule, interpolation=how)(image, NONE)[0] for how in ("pil", "cv2", "plain")}
    assert {tuple(pixels.shape) for pixels in made.values()} == {(3, 30, 40)}
    assert not torch.equal(made["pil"], made["cv2"])
    assert not torch.equal(made["plain"], made["cv2"])
    usual = plain(short=30, resize=rule)(image, NONE)[0]
    assert torch.equal(usual, made["plain" if rule == "half_up" else "pil"])


def test_boxes_follow_each_side_by_its_own_factor():
    _, boxes = plain(short=100, resize="truncate")(picture(31, 47), torch.tensor([[0.0, 0, 47, 31]]))
    assert boxes.tolist() == [[0, 0, 151, 100]]


@pytest.mark.parametrize(("legacy", "expected"), [(False, [[16, 2, 18, 9]]), (True, [[15, 2, 17, 9]])])
def test_mirror_by_hand(legacy, expected):
    image = picture(10, 20)
    pixels, boxes = plain(flip=1, legacy=legacy)(image, torch.tensor([[2.0, 2, 4, 9]]), Rng(AUGMENT, 0))
    assert boxes.tolist() == expected
    assert np.array_equal(pixels[0].numpy(), np.asarray(image)[:, ::-1, 0].astype(np.float32))


def test_mirror_has_its_probability_and_needs_rng():
    transform, image, box = plain(flip=0.25), picture(4, 20), torch.tensor([[0.0, 0, 1, 1]])
    flips = sum(float(transform(image, box, Rng(AUGMENT, 0, 0, i))[1][0, 2]) == 20 for i in range(2000))
    assert abs(flips / 2000 - 0.25) < 0.03
    assert torch.equal(Transform(flip=1)(image, box)[1], box)


def test_normalization_in_both_conventions():
    image = picture(5, 6)
    rgb = np.asarray(image).astype(np.float64).transpose(2, 0, 1)
    mean, std = np.array([0.485, 0.456, 0.406])[:, None, None], np.array([0.229, 0.224, 0.225])[:, None, None]
    assert np.allclose(Transform(flip=0)(image, NONE)[0].numpy(), (rgb / 255 - mean) / std, atol=1e-5)
    caffe = (102.9801, 115.9465, 122.7717)
    out = Transform(flip=0, mean=caffe, std=(1, 1, 1), channels="bgr", scale=255)(image, NONE)[0].numpy()
    assert np.array_equal(out, (rgb[::-1].astype(np.float32) - np.float32(caffe)[:, None, None]))
    assert out.dtype == np.float32


def test_short_sides_are_drawn_from_a_range_or_a_list():
    image = picture(20, 20)
    ranged, listed = plain(short=[24, 27]), plain(short=[24, 27, 40])
    sizes = [[t(image, NONE, Rng(AUGMENT, i))[0].shape[1] for i in range(200)] for t in (ranged, listed)]
    assert set(sizes[0]) == {24, 25, 26, 27}
    assert set(sizes[1]) == {24, 27, 40}
    assert min(np.bincount(sizes[0])[24:]) > 25
    assert (ranged(image, NONE)[0].shape[1], listed(image, NONE)[0].shape[1]) == (27, 40)


def test_padding_is_zero_and_a_multiple():
    images = [torch.ones(3, 33, 20), torch.full((3, 5, 64), 2.0)]
    batch = pad(images)
    assert batch.shape == (2, 3, 64, 64)
    assert batch.sum() == 3 * 33 * 20 + 2 * 3 * 5 * 64
    assert torch.equal(batch[0, :, :33, :20], images[0])
    assert pad([torch.ones(3, 32, 32)]).shape == (1, 3, 32, 32)
    assert pad([torch.ones(3, 32, 33)], divisor=1).shape == (1, 3, 32, 33)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"short": 0}, "short=0 is out of range: must be an integer from 1"),
        ({"short": [800, 640]}, r"short=\[800, 640\]: a range is \[low, high\]"),
        ({"short": []}, r"short=\[\]"),
        ({"short": 100, "longest": 99}, "longest=99 is below short=100"),
        ({"longest": 99}, "longest=99 without short"),
        ({"resize": "cubic"}, "resize=cubic: must be one of round, truncate, half_up"),
        ({"interpolation": "cubic"}, "interpolation=cubic: must be one of pil, cv2, plain"),
        ({"flip": 1.5}, "flip=1.5 is out of range: must be a number from 0 to 1"),
        ({"channels": "gbr"}, "channels=gbr: must be one of rgb, bgr"),
        ({"scale": 2}, "scale=2: must be one of 1, 255"),
        ({"std": (1, 0, 1)}, "std=.*above 0"),
        ({"mean": (1, 0)}, "mean=.*three numbers"),
        ({"legacy": 1}, "legacy=1"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(OutOfRange, match=message):
        Transform(**arguments)
