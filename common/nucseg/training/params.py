"""What every training run can be told. Kept apart from the loop, which needs torch."""

from dataclasses import dataclass

from nucseg.params import parameter


@dataclass(frozen=True)
class TrainParams:
    """A method's own TrainParams inherits from it."""

    steps: int = parameter(3000, "Steps", "Number of training steps.", minimum=1)
    minutes: float = parameter(0.0, "Minutes", "Stop after this many minutes; 0 does all steps.", minimum=0.0)
    patch_size: int = parameter(64, "Patch size", "Edge of the cubic training patches in voxels.", minimum=16)
    patches: int = parameter(4, "Patches per step", "Patches in a batch; a quarter of them new.", minimum=1)
    learning_rate: float = parameter(0.001, "Learning rate", "At its highest, after the warm-up.", minimum=0.0)
    seed: int = parameter(0, "Seed", "Of everything random in the run.", minimum=0)
    model: str = parameter("", "Start from", "Model to fine-tune: a shipped one's name or a folder; empty starts anew.")
