"""Jobs of a BIAFLOWS (Cytomine) server: its images in, annotations and metrics out."""
