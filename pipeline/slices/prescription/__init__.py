"""What a confirmed slice calls for: treatments, collection, relabeling."""
