"""What measures look at: one model's softmax outputs on a batch of examples, each derived quantity computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Outputs:
    """Softmax outputs of one model on n examples, from its logits (n, c), and the labels (n,), both on one device."""

    logits: Tensor
    labels: Tensor

    @cached_property
    def log_probabilities(self) -> Tensor:
        """log p (n, c), in nats, from log-softmax: finite also where p is 0 in float32."""
        return self.logits.to(torch.float64 if self.logits.dtype == torch.float64 else torch.float32).log_softmax(1)

    @cached_property
    def probabilities(self) -> Tensor:
        """P (n, c), in [0, 1]."""
        return self.log_probabilities.exp()

    @cached_property
    def entropy_terms(self) -> Tensor:
        """p log p summed over classes (n,), in nats; 0 log 0 is 0."""
        return plogp(self.probabilities)

    @cached_property
    def top1(self) -> Tensor:
        """The predicted class (n,)."""
        return self.logits.argmax(dim=1)

    @cached_property
    def correct(self) -> Tensor:
        """Whether the predicted class is the label (n,)."""
        return self.top1 == self.labels

    @cached_property
    def label_log_probability(self) -> Tensor:
        """log p(y) (n,), in nats."""
        return self.log_probabilities.gather(1, self.labels[:, None]).squeeze(1)

    @cached_property
    def margin(self) -> Tensor:
        """φ = log p(y) - log(1 - p(y)) (n,), in nats: from the other classes' log-sum-exp, so finite near p(y) = 1."""
        others = self.log_probabilities.scatter(1, self.labels[:, None], -torch.inf)
        return self.label_log_probability - others.logsumexp(dim=1)


def plogp(probabilities: Tensor) -> Tensor:
    """Return the sum over classes of p log p (n,), in nats, for p (n, c); 0 log 0 is 0."""
    return probabilities.clamp_min(_TINY).log_().mul_(probabilities).sum(dim=1)
