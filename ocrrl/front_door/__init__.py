"""The Python functions of `import ocrrl` (docs/notebook.md) and the Gymnasium environments."""
