"""Shape, intensity and neighbourhood of every nucleus: one row per nucleus.

>>> import numpy as np
>>> from pathlib import Path
>>> from nucseg.volume import Volume
>>> z, y, x = np.ogrid[:20, :20, :20]
>>> labels = ((z - 9) ** 2 + (y - 9) ** 2 + (x - 9) ** 2 <= 49).astype(np.uint16)
>>> table = measure(labels, Volume(labels, (0.5, 0.5, 0.5), Path("a.tif")))
>>> {name: table[name].round(2).tolist() for name in ("equivalent_radius_um", "sphericity", "flatness")}
{'equivalent_radius_um': [3.49], 'sphericity': [0.99], 'flatness': [1.0]}
"""

from nucseg.morphometry.columns import COLUMNS
from nucseg.morphometry.files import read_table, table_files, write_companion, write_table
from nucseg.morphometry.table import Table, measure

__all__ = ["COLUMNS", "Table", "measure", "read_table", "table_files", "write_companion", "write_table"]
