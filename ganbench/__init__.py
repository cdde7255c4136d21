"""GANBench: which GAN is better at the same cost, and how sure are we?

Plugin authors import everything they need from here; ``__init__.pyi`` lists the names. Each is imported on first use.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and "ganbench" in sys.orig_argv and os.path.isdir(".") and sys.path[:1] == [os.getcwd()]:
    del sys.path[0]  # `python -m ganbench` puts the working directory first; never import from it

import lazy_loader

from ganbench._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
