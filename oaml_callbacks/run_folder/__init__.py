"""The run on disk, while it trains: for the viewer, and in openadapt-ml's own format beside it."""
