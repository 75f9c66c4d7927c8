"""Training, once for all methods: pairs, patches, augmentation and the loop."""
