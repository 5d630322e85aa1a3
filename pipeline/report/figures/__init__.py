"""Charts, thumbnails and image sheets of the report."""
