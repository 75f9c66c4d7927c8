"""Numbers for people."""


def size_text(amount: float) -> str:
    """Bytes in MB or GB (powers of 1024, as memory and docker count them).

    Examples
    --------
    >>> size_text(60 * 1024**2), size_text(1.5 * 1024**3)
    ('60 MB', '1.5 GB')
    """
    megabytes = amount / 1024**2
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1024:.1f} GB"


def count_text(count: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> count_text(1, "image"), count_text(0, "image")
    ('1 image', '0 images')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
