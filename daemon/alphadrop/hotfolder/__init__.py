"""Files in, files out, nothing lost: what happens between a photograph dropped and its cut-out on the disk."""
