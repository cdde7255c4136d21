"""Tables as pages: HTML, README, charts, and the folders they are published in."""
