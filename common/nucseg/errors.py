"""The one exception of the project: a cause, one thing to try, and an exit code."""

FAILED_IMAGE = 1
USAGE = 2
ENVIRONMENT = 3
CONTAINER_FAILED = 4
INTERRUPTED = 130


class NucsegError(Exception):
    """Something that the user can understand and mend.

    Parameters
    ----------
    cause : str
        What is wrong, with the names and numbers that show it. One sentence, no full stop needed.
    hint : str
        One thing to try.
    exit_code : int
        `FAILED_IMAGE` (the default: this image only), `USAGE`, `ENVIRONMENT` or `CONTAINER_FAILED`.
    """

    def __init__(self, cause: str, hint: str = "", exit_code: int = FAILED_IMAGE) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.cause}. Try: {self.hint}" if self.hint else self.cause


def about(name: str, text: object) -> str:
    """A text with what it is about in front, once.

    Examples
    --------
    >>> about("a.tif", "it is empty"), about("a.tif", "a.tif is empty"), about("a.tif", "a.tif: no size")
    ('a.tif: it is empty', 'a.tif is empty', 'a.tif: no size')
    """
    return str(text) if str(text).startswith((f"{name} ", f"{name}: ")) else f"{name}: {text}"
