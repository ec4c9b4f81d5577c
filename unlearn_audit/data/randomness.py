"""Random draws that depend only on (seed, epoch, example, stream): the same for any number of processes, workers,
gradient accumulation steps, and after a resume."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)  # torch shifts arithmetically; the mask makes it logical


def _mix(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), modulo 2^64."""
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def draw(index: Tensor, high: int | Tensor, *, seed: int, epoch: int, stream: int) -> Tensor:
    """Return one uniform integer in [0, high) for each example.

    Args:
        index: (n,) int64, which examples.
        high: the number of outcomes, at most 2^31; an integer or (n,).
        seed: of the run.
        epoch: draws are fresh in each.
        stream: tells apart draws for different purposes.

    Returns:
        (n,) int64 on the device of `index`.
    """
    key = torch.zeros_like(index)
    for part in (seed, epoch, stream):
        key = _mix(key + _GOLDEN + part)
    bits = _mix(_mix(index + key) + _GOLDEN)
    return (_shift(bits, 33) * high) >> 31


def normal(index: Tensor, shape: Sequence[int], *, seed: int, epoch: int, stream: int) -> Tensor:
    """Return standard normal numbers (n, *shape) on the device of `index` (n,), for each example its own."""
    keys = draw(index, 1 << 31, seed=seed, epoch=epoch, stream=stream).tolist()
    drawn = [torch.randn(tuple(shape), generator=torch.Generator().manual_seed(key)) for key in keys]
    return torch.stack(drawn).to(index.device)


def permutation(n: int, *, seed: int, epoch: int = 0) -> Tensor:
    """Return a random order (n,) of the integers below n."""
    return torch.randperm(n, generator=torch.Generator().manual_seed((seed << 20) + epoch))


def draw_rows(rows: Tensor, share: float, *, seed: int) -> Tensor:
    """Return a random `share` in [0, 1] of the given rows (n,), in their order."""
    chosen = permutation(len(rows), seed=seed)[: round(share * len(rows))]
    return rows[chosen.sort().values]
