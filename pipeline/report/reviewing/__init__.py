"""What reviewers work with: decisions on slices and labels, and the data of the image explorer."""
