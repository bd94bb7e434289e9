"""One module a command of `ocrrl`: its arguments (`add_arguments`) and what it does (`run`). No stage imports any."""
