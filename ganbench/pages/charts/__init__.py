"""Charts of a table as SVG: the same drawing inside a page and as a file of its own, light and dark."""
