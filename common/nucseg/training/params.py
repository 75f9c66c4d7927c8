"""What every training run can be told. Kept apart from the loop, which needs torch."""

from dataclasses import dataclass

from nucseg.params import ImageParams, parameter

EPOCH = 100
"""Steps of an epoch."""


@dataclass(frozen=True)
class TrainParams(ImageParams):
    """A method's own TrainParams inherits from it."""

    steps: int = parameter(3000, "Steps", "Number of training steps.", minimum=1)
    epochs: int = parameter(0, "Epochs", f"Epochs of {EPOCH} steps, instead of --steps; 0 counts steps.", minimum=0)
    minutes: float = parameter(0.0, "Minutes", "Stop after this many minutes; 0 does all steps.", minimum=0.0)
    patch_size: int = parameter(64, "Patch size", "Edge of the training patches in voxels.", minimum=16)
    patches: int = parameter(4, "Patches per step", "Patches in a batch; a quarter of them new.", minimum=1)
    diameter: float = parameter(
        16.0,
        "Diameter",
        "Voxels across a nucleus in the patches, to which images are resampled. With --from, the model's own counts "
        "where this is left as it is.",
        minimum=6.0,
    )
    zoom: float = parameter(
        1.5, "Zoom", "Patches show nuclei at random up to so many times larger or smaller.", minimum=1.0
    )
    zoom_z: float = parameter(
        1.6, "Zoom along z", "Every second patch is at random up to so many times longer or flatter.", minimum=1.0
    )
    elastic: float = parameter(
        0.3, "Elastic bending", "Share of the patches that are bent smoothly at random.", minimum=0.0, maximum=1.0
    )
    learning_rate: float = parameter(0.001, "Learning rate", "At its highest, after the warm-up.", minimum=0.0)
    validate_every: int = parameter(500, "Validation interval", "Steps between two validations.", minimum=1)
    patience: int = parameter(
        0, "Patience", "Stop after this many validations without a better F1; 0 never stops early.", minimum=0
    )
    seed: int = parameter(0, "Seed", "Of everything random in the run.", minimum=0, maximum=2**32 - 1)
    from_: str = parameter("", "Start from", "Model to fine-tune: a shipped one's name or a folder; empty starts anew.")

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * EPOCH if self.epochs else self.steps
