"""From encoded images to uint8 RGB, each problem named by its row."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from unlearn_audit.data._processing import Fit
from unlearn_audit.errors import DataError
from unlearn_audit.files import regular

_TASK = 50  # images a thread decodes at a time
_THREADS = 8
_SHOWN = 10  # unreadable images in a message
_MANY = 5000  # images, below which decoding takes no noticeable time
_ORIENTATION = 0x0112
_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# All but EPS, which would be run as a program by Ghostscript, and such as are no pictures.
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_MOST_PIXELS = 89_478_485  # as PIL has it, a quarter of a gibibyte in RGB
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def decode_all(batches: Iterable[Sequence[object]], *, fit: Fit | None, where: str) -> Iterator[np.ndarray]:
    """Decode batches of images to blocks (b, h, w, 3) of uint8 RGB, in order.

    Grey and palette images become RGB, 16-bit grey levels are scaled to 8 bits (65535 becomes 255), an alpha
    channel is dropped as image processors do, and the EXIF orientation is applied.

    Args:
        batches: each image is `{"bytes": ..., "path": ...}` or bytes.
        fit: resizes and crops an image in RGB, if that is to be done.
        where: says where the images come from in errors, for example "the train split of digits".

    Raises:
        DataError: images that cannot be read, all of them, named by their rows, or images of different sizes.
    """
    row, expected = 0, None
    unreadable: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in batches:
            tasks = [range(start, min(start + _TASK, len(batch))) for start in range(0, len(batch), _TASK)]

            def decode(task: range, batch: Sequence[object] = batch, row: int = row) -> list[np.ndarray | str]:
                return [_decoded_or_why_not(row + i, batch[i], fit) for i in task]

            found = [item for done in pool.map(decode, tasks) for item in done]
            arrays = [item for item in found if not isinstance(item, str)]
            unreadable += [item for item in found if isinstance(item, str)]
            if not unreadable:  # else the rest is read for its errors alone
                expected = expected or arrays[0].shape
                _check_sizes(arrays, row, expected, where)
                yield np.stack(arrays)
            row += len(batch)
    if unreadable:
        raise DataError(_told(unreadable, where))


def unreadable_rows(batches: Iterable[Sequence[object]]) -> list[int]:
    """Return the rows of images that cannot be read."""
    row, found = 0, []
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in batches:
            rows = range(row, row + len(batch))
            results = pool.map(lambda pair: _decoded_or_why_not(pair[0], pair[1], None), zip(rows, batch, strict=True))
            found += [place for place, item in zip(rows, results, strict=True) if isinstance(item, str)]
            row += len(batch)
    return found


def _told(unreadable: list[str], where: str) -> str:
    shown = "; ".join(unreadable[:_SHOWN])
    more = f"; and {len(unreadable) - _SHOWN} more" if len(unreadable) > _SHOWN else ""
    count = "1 is not a readable image" if len(unreadable) == 1 else f"{len(unreadable)} are no readable images"
    return (
        f"Of {where}, {count}: {shown}{more}. Replace them, or leave them out with skip_unreadable, which the report "
        "then states."
    )


def _check_sizes(arrays: list[np.ndarray], first_row: int, expected: tuple[int, ...], where: str) -> None:
    for row, array in enumerate(arrays, first_row):
        if array.shape != expected:
            raise DataError(
                f"Images of {where} have different sizes: row 0 is {expected[0]} by {expected[1]}, row {row} "
                f"is {array.shape[0]} by {array.shape[1]} pixels. "
                "Pass processor, the folder or Hub id of your model, to resize and crop as it does, or image_size (say "
                "224) to resize and centre-crop all of them."
            )


def _decoded_or_why_not(row: int, item: object, fit: Fit | None) -> np.ndarray | str:
    path = item.get("path") if isinstance(item, dict) else None
    try:
        with Image.open(_open(item), formats=_formats()) as image:
            _check_size(image)
            rgb = _to_rgb(image)
            rgb.load()  # while the file is open
    except (*_UNREADABLE, Image.DecompressionBombError) as error:
        name = f" ({Path(path).name})" if path else ""
        return f"row {row}{name}, {error}"
    return np.asarray(rgb if fit is None else fit(rgb))


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow can read."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image) -> None:
    """Refuse what its header says to be too large, before it is decompressed."""
    most = Image.MAX_IMAGE_PIXELS or _MOST_PIXELS
    if image.width * image.height > most:
        raise ValueError(f"it has {image.width:,} by {image.height:,} pixels; expected at most {most:,} in all")


def _open(item: object) -> io.BytesIO | str:
    fields: dict[str, Any] = item if isinstance(item, dict) else {"bytes": item}
    if fields.get("bytes") is not None:
        return io.BytesIO(fields["bytes"])
    path: str | None = fields.get("path")
    if path is None:
        raise ValueError("the row holds no image")
    return str(regular(path))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and image.format == "PNG" and "exif" not in image.info:
        return image
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in _GREY_16:
        image = _from_16_bit(image)
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown; convert it to 8 or 16 bits")
    elif image.mode == "P":
        image = image.convert("RGBA")  # a palette's transparency would warn on the direct way to RGB
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)  # (h, w)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its grey levels reach from {values.min()} to {values.max()}, beyond 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square of an image whose shorter side is resized to `size` pixels (bicubic)."""
    if image.size == (size, size):
        return image
    shorter = min(image.size)
    width, height = (max(size, round(side * size / shorter)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))


def with_progress(blocks: Iterator[np.ndarray], count: int, where: str) -> Iterator[np.ndarray]:
    """Pass the blocks on, with a progress bar on a terminal when there are many images."""
    from datasets.utils import tqdm

    quiet = count < _MANY or not sys.stderr.isatty()
    with tqdm(total=count, unit=" images", desc=f"Decoding {where}", disable=quiet) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
