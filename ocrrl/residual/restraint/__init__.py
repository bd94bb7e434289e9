"""What keeps a residual from breaking what its base does well: where it may act, and with which confidence it does no harm."""
