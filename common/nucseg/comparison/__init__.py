"""Several segmentations of the same volumes: where they agree, what the majority supports, which one is best."""
