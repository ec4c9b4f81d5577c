"""From decoded images to batches: augmented and normalised a batch at a time, on the device where the pixels live."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from unlearn_audit.data.images import Images
from unlearn_audit.data.randomness import draw
from unlearn_audit.errors import DataError

_VERTICAL, _HORIZONTAL, _FLIP = 1, 2, 3  # streams of random draws


@dataclass(frozen=True)
class Augmentation:
    """Random crop after padding by `padding` black pixels a side, and a horizontal flip of a random half of the images.

    With `alternating`, that half is drawn once, and flipped in every other epoch; the rest is in those between.
    """

    padding: int
    flip: bool
    alternating: bool = False

    @classmethod
    def usual(cls, images: Images, *, alternating: bool = False) -> Augmentation:
        """Return the usual one: padding by an eighth of the height (4 of 32), and a flip where `images.flips`."""
        return cls(padding=max(1, images.pixels.shape[1] // 8), flip=images.flips, alternating=alternating)

    def __call__(self, pixels: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Augment uint8 (n, h, w, 3), each image by its own draws, which depend on (seed, epoch, index) alone."""
        n, height, width, _ = pixels.shape
        shifts = 2 * self.padding + 1
        top = draw(index, shifts, seed=seed, epoch=epoch, stream=_VERTICAL)
        left = draw(index, shifts, seed=seed, epoch=epoch, stream=_HORIZONTAL)
        rows = top[:, None] + torch.arange(height, device=pixels.device)  # (n, h)
        columns = left[:, None] + torch.arange(width, device=pixels.device)  # (n, w)
        if self.flip:
            flipped = self._flipped(index, seed, epoch)
            columns = torch.where(flipped[:, None], columns.flip(1), columns)
        padded = torch.nn.functional.pad(pixels, (0, 0, *(self.padding,) * 4))
        return padded[torch.arange(n, device=pixels.device)[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _flipped(self, index: Tensor, seed: int, epoch: int) -> Tensor:
        """Return which examples (n,) bool are flipped."""
        if not self.alternating:
            return draw(index, 2, seed=seed, epoch=epoch, stream=_FLIP).bool()
        return (draw(index, 2, seed=seed, epoch=0, stream=_FLIP) + epoch) % 2 == 1


class Batch(Sequence[dict[str, Tensor]]):
    """A batch held as stacked tensors; as a sequence of examples it also fits Trainer's default collator."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.tensors = dict(tensors)

    def __len__(self) -> int:
        return len(self.tensors["labels"])

    def __getitem__(self, position: Any) -> Any:
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        return {name: tensor[position] for name, tensor in self.tensors.items()}


def collate(batch: Any) -> dict[str, Tensor]:
    """Collate a `Batch` at no cost: for `Trainer(data_collator=collate)`.

    Trainer's default collator takes the batch apart and stacks it again, with the same result.
    """
    tensors: dict[str, Tensor] = batch.tensors
    return tensors


class ExampleDataset(Dataset[dict[str, Tensor]]):
    """Examples of `images` for a `Trainer`: `pixel_values`, `labels`, and with `is_forget` also that and `index`.

    Args:
        images: decoded images.
        preprocess: maps uint8 (n, h, w, 3) to float32 (n, 3, h', w'), for example `Preprocessing.of(model)`.
        rows: (m,) which rows of `images`; all by default.
        is_forget: (len(images),) bool, which rows belong to the forget set; adds `is_forget` and `index` (the row).
        augmentation: none by default.
        seed: of the augmentation.
        device: where pixels are kept and batches made; a copy of all pixels goes there unless it is the CPU.
    """

    def __init__(
        self,
        images: Images,
        preprocess: Callable[[Tensor], Tensor],
        *,
        rows: np.ndarray | None = None,
        is_forget: np.ndarray | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ):
        self.images = images
        self.preprocess = preprocess
        self.rows = torch.arange(len(images)) if rows is None else torch.as_tensor(rows, dtype=torch.int64)
        self.is_forget = None if is_forget is None else torch.as_tensor(is_forget)
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0
        self.device = torch.device(device)
        self._labels = torch.as_tensor(np.asarray(images.labels))
        self._resident = None if self.device.type == "cpu" else torch.as_tensor(np.asarray(images.pixels)).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        return Batch(self.batch(self.rows[torch.as_tensor(positions)]))

    def set_epoch(self, epoch: int) -> None:
        """Let the next augmentations be those of `epoch`."""
        self.epoch = epoch

    @property
    def forget_rows(self) -> Tensor:
        """Rows (m,) of `images` that belong to the forget set."""
        return self.rows[self._marks()[self.rows]]

    @property
    def retain_rows(self) -> Tensor:
        """Rows (m,) of `images` that belong to the retain set."""
        return self.rows[~self._marks()[self.rows]]

    def subset(self, rows: Tensor) -> ExampleDataset:
        """Return the same examples narrowed to `rows` (m,); shares pixels."""
        narrowed = copy.copy(self)
        narrowed.rows = rows
        return narrowed

    def seen(self, steps: int, batch: int, epochs: float) -> int:
        """Return how many examples went through `steps` steps of `batch` examples in so many epochs."""
        return min(steps * batch, round(epochs * len(self)))  # the last batch of an epoch may be smaller

    def without_augmentation(self) -> ExampleDataset:
        """Return the same examples as the audit sees them."""
        plain = copy.copy(self)
        plain.augmentation = None
        return plain

    def batch(self, rows: Tensor, *, draws: int | None = None) -> dict[str, Tensor]:
        """Return the stacked batch of the given rows (n,) of `images`, on the device.

        Its augmentation is that of the epoch, unless `draws` names another one's.
        """
        index = rows.to(self.device)
        pixels = self._pixels(rows)
        if self.augmentation is not None:
            pixels = self.augmentation(pixels, index, seed=self.seed, epoch=self.epoch if draws is None else draws)
        tensors = {"pixel_values": self.preprocess(pixels), "labels": self._labels[rows].to(self.device)}
        if self.is_forget is not None:
            tensors |= {"is_forget": self.is_forget[rows].to(self.device), "index": index}
        return tensors

    def _pixels(self, rows: Tensor) -> Tensor:
        if self._resident is not None:
            return self._resident[rows.to(self.device)]
        return torch.from_numpy(self.images.pixels[rows.numpy()])

    def _marks(self) -> Tensor:
        if self.is_forget is None:
            raise DataError("Expected examples that say which are to be forgotten; pass is_forget to ExampleDataset.")
        return self.is_forget
