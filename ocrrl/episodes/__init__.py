"""Episodes: one HDF5 file each, written, read and checked."""
