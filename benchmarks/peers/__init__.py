"""Other engines on the same graphs. Nothing here is needed to use or to test this project; README.md says how to install them."""
