"""The commands of `ocrrl`, one module each: arguments (`add_arguments`, if any) and action (`run`). No stage imports them."""
