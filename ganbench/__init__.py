"""GANBench: which GAN is better, at the same cost, and how sure are we?

Plugin authors import everything they need from here; ``__init__.pyi`` lists it. Each name is imported on first use.
"""

import lazy_loader

from ganbench._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
