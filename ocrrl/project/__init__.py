"""Project folders that run an installed package: what `ocrrl init` writes and `ocrrl migrate` brings up to date."""
