"""VLAs on a policy server, on this machine or one with a GPU: Isaac-GR00T's, openpi's, or `ocrrl serve-vla`."""
