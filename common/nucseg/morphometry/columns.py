"""What the columns of a table of nuclei mean: the text of its companion file."""

from dataclasses import dataclass

import numpy as np

NUCLEUSJ = "NucleusJ (Poulet et al. 2015, doi:10.1093/bioinformatics/btu774)"
_SURFACE = (
    "integral of normals over the voxel faces, normals of the mask smoothed by 0.7 voxel diagonals "
    "(Coeurjolly et al. 2003; Lachaud & Thibert 2016); as the corrected surface of NucleusJ 2.0 "
    "(Dubos et al. 2020, doi:10.1080/19491034.2020.1845012), not marching cubes, whose steps add 8 to 20%"
)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    unit : str
        1 for numbers without one.
    meaning : str
        The definition.
    source : str
        Who defined it, where that is needed.
    """

    unit: str
    meaning: str
    source: str = ""


def _lengths(name: str, unit: str) -> dict[str, Column]:
    """The columns of size, in µm or in voxels; `name` is the unit within the columns' names."""
    columns = {
        f"surface_area_{name}2": Column(
            f"{unit}²",
            "area of the surface of the nucleus alone, closed where the image ends; "
            "where nuclei touch, each has the surface between them",
            _SURFACE,
        ),
        f"equivalent_diameter_{name}": Column(unit, "diameter of the sphere of the same volume, (6 V / π)^(1/3)"),
        f"equivalent_radius_{name}": Column(unit, "half the equivalent diameter", f"{NUCLEUSJ}, Esr"),
        f"nearest_neighbour_{name}": Column(
            unit, "distance from the centroid to the nearest other one; nan where there is only one nucleus"
        ),
    }
    for axis in ("major", "middle", "minor"):
        columns[f"{axis}_axis_{name}"] = Column(
            unit,
            f"length along the {axis} axis of the ellipsoid with the same second moments, from end to end, 2 √(5 λ)",
            "axis_major_length and axis_minor_length of scikit-image",
        )
    for axis in "zyx":
        origin = "from the centre of the first voxel" if name == "um" else "voxel centres at integers, from 0"
        columns[f"centroid_{axis}_{name}"] = Column(unit, f"mean position of the voxels in {axis.upper()}, {origin}")
    return columns


COLUMNS = {
    "label": Column("1", "value of the nucleus in the label image"),
    "volume_voxels": Column("voxels", "number of voxels"),
    "volume_um3": Column("µm³", "number of voxels times the volume of one"),
    "sphericity": Column(
        "1",
        "π^(1/3) (6 V)^(2/3) / A: surface of the sphere of the same volume over the surface, 1 for a sphere; "
        "a little more is possible for nuclei of a few voxels",
        "Wadell 1935; NucleusJ's sphericity, 36 π V² / A³, is its cube",
    ),
    "elongation": Column(
        "1", "major over middle axis, √(λ1 / λ2), 1 or more; nan for a line of voxels", f"{NUCLEUSJ}, Measure3D"
    ),
    "flatness": Column(
        "1", "middle over minor axis, √(λ2 / λ3), 1 or more; nan for a nucleus in one plane", f"{NUCLEUSJ}, Measure3D"
    ),
    "mean_intensity": Column("grey value", "mean of the raw intensities"),
    "total_intensity": Column("grey value", "sum of the raw intensities", "integrated density of ImageJ"),
    "std_intensity": Column(
        "grey value", "standard deviation of the raw intensities, over all voxels", f"{NUCLEUSJ}, StandardDeviation"
    ),
    "cv_intensity": Column(
        "1", "heterogeneity: standard deviation over mean of the raw intensities; nan where the mean is 0"
    ),
    "min_intensity": Column("grey value", "lowest raw intensity", f"{NUCLEUSJ}, MinIntensity"),
    "max_intensity": Column("grey value", "highest raw intensity", f"{NUCLEUSJ}, MaxIntensity"),
    "nearest_neighbour_label": Column("1", "label of the nucleus with the nearest centroid, 0 where there is none"),
    "touches_border": Column("1", "1 where a voxel lies at an end of the image in X, Y or Z, so part may be missing"),
    "probability": Column("1", "how sure the method is of the nucleus, 0 to 1, as its card defines it"),
    "class": Column("1", "most probable class of the nucleus, numbered as in the model; 0 is background"),
    "class_probability": Column("1", "how sure the method is of the class, 0 to 1"),
    **_lengths("um", "µm"),
    **_lengths("voxels", "voxels"),
    **{
        f"box_{axis}_{end}": Column("voxels", f"{end} index of the nucleus in {axis.upper()}, from 0, inclusive")
        for axis in "zyx"
        for end in ("first", "last")
    },
    **{
        f"{axis}_axis_{component}": Column(
            "1", f"{component.upper()} of the unit vector along the {axis} axis, in space; its largest one is positive"
        )
        for axis in ("major", "middle", "minor")
        for component in "zyx"
    },
}
"""Every column that a table can have, by name."""

WHOLE = frozenset(
    ["label", "volume_voxels", "nearest_neighbour_label", "touches_border", "class"]
    + [name for name in COLUMNS if name.startswith("box_")]
)
"""Columns of whole numbers whatever the image."""


def dtype_of(name: str) -> type:
    """What the values of a column are when they come back from a file."""
    return np.int64 if name in WHOLE else np.float64
