"""Reading and writing of volumes and label images."""

from nucseg.formats.listing import content_sha256, image_stem, label_name, last_changed, list_images, size_on_disk
from nucseg.formats.reading import read_image, read_labels, read_volume
from nucseg.formats.writing import write_labels, write_volume

__all__ = [
    "content_sha256",
    "image_stem",
    "label_name",
    "last_changed",
    "list_images",
    "read_image",
    "read_labels",
    "read_volume",
    "size_on_disk",
    "write_labels",
    "write_volume",
]
