"""Methods whose network gives values for every voxel: prediction, nuclei, training, the same for all."""
