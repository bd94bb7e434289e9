"""Recordings in the HDF5 format of robomimic."""
