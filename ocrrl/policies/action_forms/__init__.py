"""Other forms of action, at the policy's edge: a reply in a declared form becomes our steps, and back."""
