"""Tables, figures and videos of what was measured."""
