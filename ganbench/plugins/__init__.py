"""From entry points to components: list what is installed, resolve names, load plugins.

The rest of the core imports from here. Each name is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
