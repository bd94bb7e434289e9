"""The person at the cell: approval, questions, keys, signals."""
