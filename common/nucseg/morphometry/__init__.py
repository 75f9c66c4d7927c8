"""Shape, intensity and neighbourhood of every nucleus: one row per nucleus."""
