"""What `import ocrrl` offers: six calls (docs/notebook.md) and the Gymnasium environments."""
