"""Entry points -> components: what is installed, what a name means, how one is loaded.

The names that the rest of the core uses can be imported from here; each is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
