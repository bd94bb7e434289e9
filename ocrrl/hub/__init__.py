"""Cards of models and datasets, and their upload to a Hugging Face hub."""
