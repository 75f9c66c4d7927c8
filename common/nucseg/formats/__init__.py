"""Reading and writing of volumes and label images."""

from nucseg.formats.listing import image_stem, list_images
from nucseg.formats.tiff import read_labels, read_volume
from nucseg.formats.writing import write_labels, write_volume

__all__ = ["image_stem", "list_images", "read_labels", "read_volume", "write_labels", "write_volume"]
