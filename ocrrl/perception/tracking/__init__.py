"""Object poses from RGB-D images: the tracker and its confidence."""
