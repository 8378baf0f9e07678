"""Loaders of the data sets: each turns a folder, laid out as its archive is, into a clip table."""
