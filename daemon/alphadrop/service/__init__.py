"""The resident process: its life, and the local API it serves."""
