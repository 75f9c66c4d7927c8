"""3D convolution networks on the CPU with less arithmetic: minimal filtering, generated for the processor.

A 3x3x3 convolution of a 2x2x2 block takes 216 multiplications per pair of channels when it is done
as written, and 64 by the minimal filtering of Winograd F(2,3) along each axis; after a nearest
upsampling by 2, 27. In float32 the result differs from the direct one by rounding only (measured:
2.3e-7 of the standard deviation against 1.3e-7), so the labels stay the same.

Sources: S. Winograd, "Arithmetic Complexity of Computations", SIAM 1980; A. Lavin and S. Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.

emit.py      a thin layer over llvmlite, and the compiler
kernels.py   the machine code of the convolutions
lowering.py  a torch module -> a list of convolutions
weights.py   weights in the order in which the kernels read them
execute.py   buffers, threads, and the run of a list of convolutions
"""

from nucseg.winograd.execute import WinogradNetwork
from nucseg.winograd.lowering import UnsupportedNetworkError

__all__ = ["UnsupportedNetworkError", "WinogradNetwork"]
