"""Cells that the policies are deployed in."""
