"""Tables of the user: files, columns, filters, and the columns of `images`."""
