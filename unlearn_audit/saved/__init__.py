"""An audit as a folder: what went in, what came out, and verifying that the one follows from the other."""
