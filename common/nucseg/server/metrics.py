"""The part of the API that BIAFLOWS adds to Cytomine: metrics and their results, after biaflows-utilities 0.9.

The names of the classes are those of the API's resources.
"""

from typing import Any

from cytomine.models.collection import Collection
from cytomine.models.model import Model


class Metric(Model):
    """A metric that a server knows for a problem class (`discipline`)."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        self.shortName: str | None = None
        self.populate(attributes)


class MetricCollection(Collection):
    """The metrics of a discipline."""

    def __init__(self, filters: dict[str, Any] | None = None, max: int = 0, offset: int = 0, **parameters: Any) -> None:
        super().__init__(Metric, filters, max, offset)
        self._allowed_filters = [None, "discipline"]
        self.set_parameters(parameters)


class ImageInstanceMetricResult(Model):
    """The value of a metric for one image in one job."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        self.populate(attributes)


class ImageInstanceMetricResultCollection(Collection):
    """Results to upload."""

    def __init__(self, filters: dict[str, Any] | None = None, max: int = 0, offset: int = 0, **parameters: Any) -> None:
        super().__init__(ImageInstanceMetricResult, filters, max, offset)
        self._allowed_filters = [None]
        self.set_parameters(parameters)
