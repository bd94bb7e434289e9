"""The commands of `ocrrl`, one module each: arguments (`add_arguments`) and action (`run`). No stage imports them."""
