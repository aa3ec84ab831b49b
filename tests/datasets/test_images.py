import random

import numpy as np
import pytest
from broken_sets import encoded, pixels
from PIL import Image, ImageOps

from paa.datasets.errors import ImageError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.image_folder import folder_index
from paa.datasets.image_scan import inspect, scan_images
from paa.datasets.images import decode, orientation_for, orientation_of, to_rgb

SIZE = (32, 24)


def index_of(folder, data, size=SIZE, exif="ignore", name="a.png"):
    """An index of one image file."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return named(folder, name, size=size, exif=exif)


def named(folder, *names, size=SIZE, exif="ignore"):
    """An index of files of these names."""
    lists = {
        "images": [{"id": i, "file_name": n, "width": size[0], "height": size[1]} for i, n in enumerate(names)],
        "annotations": [],
        "categories": [{"id": 1, "name": "disc"}],
    }
    index = CocoIndex.from_lists(lists, path=folder / "x.json", image_dir=folder)
    return type(index)(**{**index.__dict__, "exif": exif})


def decoded(folder, data, **options):
    return np.asarray(decode(index_of(folder, data, **options), 0))


def with_tag(orientation, kind="PNG", image=None):
    tag = Image.Exif()
    tag[0x0112] = orientation
    return encoded(image or Image.fromarray(pixels(*SIZE)), kind, exif=tag)


def test_sixteen_bits_keep_their_upper_eight(tmp_path):
    """Values by hand: 0x1234 becomes 0x12; PIL's own conversion makes all above 255 white."""
    wide = np.array([[0, 255, 256, 0x1234, 0x8000, 65535]], dtype=np.uint16)
    expected = [0, 0, 1, 0x12, 0x80, 255]
    for name, data in (("PNG", encoded(Image.fromarray(wide))), ("TIFF", encoded(Image.fromarray(wide), "TIFF"))):
        assert decoded(tmp_path, data, size=(6, 1))[0].tolist() == [[v] * 3 for v in expected], name
    big_endian = Image.frombytes("I;16B", (6, 1), wide.astype(">u2").tobytes())
    assert np.asarray(to_rgb(big_endian))[0, :, 0].tolist() == expected
    thirty_two = Image.fromarray(wide.astype(np.int32))
    assert thirty_two.mode == "I"
    assert np.asarray(to_rgb(thirty_two))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("image", [Image.new("F", (2, 2)), Image.fromarray(np.full((2, 2), 70000, np.int32))])
def test_pixels_without_a_known_range_are_refused(image):
    with pytest.raises(ValueError, match="of which black and white are not known; must have 8 or 16 bits"):
        to_rgb(image)


def test_gray_one_bit_and_alpha(tmp_path):
    gray = np.array([[0, 100, 255]], dtype=np.uint8)
    assert decoded(tmp_path, encoded(Image.fromarray(gray)), size=(3, 1))[0].tolist() == [
        [v] * 3 for v in (0, 100, 255)
    ]
    bits = Image.fromarray(gray).point(lambda v: 255 * (v > 50)).convert("1")
    assert decoded(tmp_path, encoded(bits), size=(3, 1))[0, :, 0].tolist() == [0, 255, 255]
    clear = Image.fromarray(np.array([[[10, 20, 30, 0], [40, 50, 60, 128]]], dtype=np.uint8), "RGBA")
    assert decoded(tmp_path, encoded(clear), size=(2, 1))[0].tolist() == [[10, 20, 30], [40, 50, 60]]
    pale = Image.fromarray(np.array([[[10, 0], [40, 128]]], dtype=np.uint8), "LA")
    assert decoded(tmp_path, encoded(pale), size=(2, 1))[0].tolist() == [[10] * 3, [40] * 3]


def test_palettes_are_looked_up_whatever_is_transparent(tmp_path, recwarn):
    plain = Image.fromarray(pixels(*SIZE)).quantize(16)
    expected = np.asarray(plain.convert("RGB"))
    for options in ({}, {"transparency": 3}, {"transparency": bytes(range(0, 160, 10))}):
        assert np.array_equal(decoded(tmp_path, encoded(plain, **options)), expected)
    assert not [w for w in recwarn if "Transparency" in str(w.message)]


def test_cmyk_as_adobe_inverts_it(tmp_path):
    """PIL writes CMYK JPEG inverted, with Adobe's marker, as Photoshop does: a strong cyan must come back as one."""
    data = encoded(Image.new("CMYK", SIZE, (255, 0, 0, 0)), "JPEG", quality=95)
    assert b"Adobe" in data
    red, green, blue = decoded(tmp_path, data)[12, 16].tolist()
    assert red < 10
    assert green > 240
    assert blue > 240


def test_of_several_frames_the_first(tmp_path):
    frames = [Image.new("L", SIZE, v) for v in (7, 90, 200)]
    for kind in ("GIF", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert set(decoded(tmp_path, data).ravel().tolist()) == {7}, kind


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_orientation_is_applied_as_pillow_s_own_tool_does(tmp_path, orientation, kind):
    image = Image.fromarray(pixels(*SIZE))
    data = with_tag(orientation, kind, image)
    (tmp_path / "b").write_bytes(data)
    with Image.open(tmp_path / "b") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
        raw = np.asarray(opened)
    shown = (expected.shape[1], expected.shape[0])
    assert np.array_equal(decoded(tmp_path, data, size=shown, exif="apply"), expected)
    assert np.array_equal(decoded(tmp_path, data, size=shown, exif="auto"), expected)
    assert np.array_equal(decoded(tmp_path, data, exif="ignore"), raw)
    by_auto = decoded(tmp_path, data, exif="auto")  # the stored size is stated: it decides where it can
    assert np.array_equal(by_auto, raw if orientation >= 5 else expected)


def test_a_square_is_turned_where_the_size_cannot_tell():
    assert orientation_for("auto", 6, (9, 9), (9, 9)) == 6
    assert orientation_for("ignore", 6, (9, 9), (9, 9)) == 1
    assert orientation_for("apply", 6, (9, 5), (9, 5)) is None
    assert orientation_for("ignore", 6, (9, 5), (5, 9)) is None
    assert orientation_for("auto", 6, (9, 5), (5, 9)) == 6
    assert orientation_for("auto", 6, (9, 5), (9, 5)) == 1
    assert orientation_for("auto", 6, (9, 5), (5, 8)) is None


def test_a_wrong_size_tells_of_the_orientation(tmp_path):
    with pytest.raises(
        ImageError, match=r"is 32 x 24 pixels \(EXIF orientation 6, data.exif=apply\), but .* 32 x 24 for"
    ):
        decoded(tmp_path, with_tag(6), exif="apply")


def test_a_tiff_is_turned_by_pillow_itself(tmp_path):
    tag = Image.Exif()
    tag[0x0112] = 3
    image = Image.fromarray(pixels(*SIZE))
    data = encoded(image, "TIFF", exif=tag)
    for exif in ("ignore", "apply"):
        assert np.array_equal(decoded(tmp_path, data, exif=exif), np.asarray(image)[::-1, ::-1])


def test_predict_sees_images_as_a_viewer_does(tmp_path):
    (tmp_path / "a.jpg").write_bytes(with_tag(6, "JPEG"))
    index = folder_index(tmp_path, [[1, "disc"]])
    assert (index.widths[0], index.heights[0]) == SIZE[::-1]
    assert decode(index, 0).size == SIZE[::-1]
    assert len(folder_index(tmp_path, [[1, "disc"]], without=tmp_path / "pictures")) == len(index)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / "1.png")
    assert len(folder_index(tmp_path, [[1, "disc"]])) == len(index) + 1
    assert len(folder_index(tmp_path, [[1, "disc"]], without=tmp_path / "pictures")) == len(index)


def test_a_draft_of_a_jpeg_finds_what_a_whole_decode_finds(tmp_path):
    """Cut and spoilt at random: looking at an eighth of the size must raise exactly where the decode of all raises."""
    draws, path = random.Random(0), tmp_path / "a.jpg"
    smooth = Image.fromarray(pixels(24, 18)).resize((320, 240), Image.Resampling.BICUBIC)
    found = 0
    for options in ({}, {"progressive": True}, {"optimize": True, "restart_marker_rows": 1}):
        whole = encoded(smooth, "JPEG", quality=90, **options)
        cuts = [whole[: len(whole) - k] for k in (1, 2, 3, 40)] + [
            whole[: draws.randrange(200, len(whole))] for _ in range(8)
        ]
        spoilt = []
        for _ in range(12):
            data = bytearray(whole)
            at = draws.randrange(20, len(data) - 20)
            data[at : at + 16] = draws.randbytes(16)
            spoilt.append(bytes(data))
        for data in [whole, *cuts, *spoilt]:
            path.write_bytes(data)
            try:
                decode(index_of(tmp_path, data, (320, 240), name="a.jpg"), 0)
                problem = False
            except ImageError as error:
                problem = "cannot be decoded" in str(error)
            assert bool(inspect(path, "decode").problem) == problem
            found += problem
        assert not inspect(path.with_name("none.jpg"), "size").level
    assert found >= 36  # every cut, at the least


def test_facts_name_size_colors_and_orientation(tmp_path):
    (tmp_path / "a.jpg").write_bytes(with_tag(8, "JPEG"))
    (tmp_path / "b.png").write_bytes(encoded(Image.new("LA", (5, 4))))
    one, two, three = scan_images(named(tmp_path, "a.jpg", "b.png", "c.png"), "size", tmp_path / "cache")
    assert (one.size, one.orientation, one.colors, one.problem) == (SIZE, 8, "RGB", "")
    assert (two.size, two.orientation, two.colors) == ((5, 4), 1, "LA")
    assert three.problem == "no such file"
    assert scan_images(named(tmp_path, "a.jpg"), "size", tmp_path / "cache") == [one]
    (cache,) = (tmp_path / "cache" / "images").iterdir()
    cache.write_text("rubbish")
    assert scan_images(named(tmp_path, "a.jpg"), "decode", tmp_path / "cache")[0].level == "decode"
    cache.unlink()
    (tmp_path / "file").write_text("")
    assert scan_images(named(tmp_path, "a.jpg"), "size", tmp_path / "file") == [one]  # no cache can be there


def test_an_unreadable_tag_is_no_orientation():
    image = Image.new("RGB", SIZE)
    assert orientation_of(image) == 1
