"""Entry points -> components: what is installed, what a name means, how one is loaded.

The names that the rest of the core uses are importable from here; none is imported before it is asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
