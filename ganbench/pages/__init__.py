"""Tables as pages to look at: HTML, README, charts, and the folders they are published in."""
