"""The architectures of this package, one a file: the file's name is the name that encoder files call it by."""
