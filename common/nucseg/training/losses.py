"""Losses for maps; a target of -1 marks a voxel that nothing is known of."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


def bce_dice(logits: torch.Tensor, target: torch.Tensor, bce: float = 1.0, dice: float = 1.0) -> torch.Tensor:
    """Weighted sum of binary cross-entropy and the soft Dice loss.

    Parameters
    ----------
    logits, target : torch.Tensor
        (N, 1, Z, Y, X); the target is 0, 1 or -1.
    bce, dice : float
        Weights.

    Returns
    -------
    torch.Tensor
        A number. The Dice loss is 1 - 2 |P T| / (|P|² + |T|²) over the batch (Milletari et al. 2016).
    """
    logits, known = logits.float(), (target >= 0).float()
    target = target.clamp(min=0)
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = torch.sigmoid(logits) * known
    overlap = 2 * (probability * target).sum()
    total = (probability**2).sum() + (target**2 * known).sum()
    return bce * (entropy * known).sum() / known.sum().clamp(min=1) + dice * (1 - overlap / total.clamp(min=1e-6))
