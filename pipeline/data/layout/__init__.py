"""How the folders of a data set divide its images: splits, classes, masks, copies."""
