"""Colour images come out pixel for pixel; what is no 8 bit RGB, or too large, is named before it is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.stored_images import decode_image
from tests.recordings.lerobot.recorded_dataset import png

COLOUR = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def decode(cell, root):
    return decode_image(cell, "images.front", DatasetFiles(root, root), "row 3 of data.parquet")


def png_of(width, height, bits, kind, rows):
    """A PNG by hand: `kind` 0 grey, 2 RGB; `rows` are its compressed bytes."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", [lambda raw: {"bytes": raw, "path": "frame.png"}, lambda raw: raw])
def test_bytes_of_a_png_are_an_image(tmp_path, form):
    np.testing.assert_array_equal(decode(form(png(COLOUR)), tmp_path), COLOUR)


def test_a_path_in_the_dataset_is_an_image(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(png(COLOUR))
    for cell in ({"bytes": None, "path": "images/a.png"}, "images/a.png"):
        np.testing.assert_array_equal(decode(cell, tmp_path), COLOUR)


def test_a_jpeg_is_an_image_turned_as_its_camera_says(tmp_path):
    even = np.full((24, 32, 3), (200, 90, 30), np.uint8)
    assert np.abs(decode(png(even, "JPEG"), tmp_path).astype(int) - even).max() < 5
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(turned, "JPEG", exif=exif)
    assert decode(turned.getvalue(), tmp_path).shape == (32, 24, 3)


GREY = np.zeros((24, 32), np.uint8)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (Image.fromarray(GREY.astype(np.uint16)), r"16 bit with one channel \(depth\?\)"),
        (Image.fromarray(GREY), "8 bit with one channel"),
        (Image.fromarray(GREY).convert("1"), "1 bit with one channel"),
        (Image.fromarray(COLOUR).convert("RGBA"), r"8 bit with 4 channels \(alpha\)"),
        (Image.fromarray(COLOUR).convert("LA"), "8 bit with one channel and alpha"),
        (Image.fromarray(COLOUR).convert("P"), "a palette"),
    ],
)
def test_what_is_no_colour_is_named(tmp_path, image, got):
    with pytest.raises(EpisodeRejected, match=f"images.front must be 8 bit RGB, got {got} in row 3 of data.parquet"):
        decode(png(image), tmp_path)


def test_cmyk_and_16_bit_rgb_are_named(tmp_path):
    with pytest.raises(EpisodeRejected, match=r"must be 8 bit RGB, got 8 bit with 4 channels \(CMYK\)"):
        decode(png(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), tmp_path)
    deep = png_of(4, 4, 16, 2, zlib.compress((b"\0" + b"\x12\x34" * 12) * 4))
    with pytest.raises(EpisodeRejected, match="must be 8 bit RGB, got 16 bit with 3 channels"):
        decode(deep, tmp_path)


def test_a_small_file_of_a_huge_image_is_refused_undecoded(tmp_path):
    bomb = png_of(47_000, 47_000, 8, 2, zlib.compress(b"\0" * 1000))
    with pytest.raises(EpisodeRejected, match=r"images.front must be .*pixels"):
        decode(bomb, tmp_path)
    with pytest.raises(EpisodeRejected, match=r"must be images of at most 25,000,000 pixels, got 6000 x 5000"):
        decode(png_of(5000, 6000, 8, 2, b""), tmp_path)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "images.front must be a PNG or JPEG image in every row, got no image in row 3 of data.parquet"),
        ({"bytes": None, "path": None}, "got no image"),
        ({"bytes": b"", "path": ""}, "got str|a folder|no image|PNG or JPEG"),
        (7, "got int"),
        ("x" * 600, "or the path of one, got a text of 600 characters in row 3 of data.parquet"),
        ("a\x1b[2J", "or the path of one, got a text of 5 characters in row 3"),
        (b"not an image", "images.front must be PNG or JPEG images, got cannot identify"),
        (png(COLOUR)[:200], "images.front must be PNG or JPEG images"),
        (png(COLOUR)[:30] + b"\xff" * 20 + png(COLOUR)[50:], "images.front must be PNG or JPEG images"),
        ({"bytes": None, "path": "../../etc/passwd"}, "must be a readable file of the dataset"),
        ({"bytes": None, "path": "/etc/passwd"}, "must be a readable file of the dataset, got a place outside"),
        ({"bytes": None, "path": "gone.png"}, "must be a readable file of the dataset, got nothing"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, cell, message):
    with pytest.raises(EpisodeRejected, match=message):
        decode(cell, tmp_path)
