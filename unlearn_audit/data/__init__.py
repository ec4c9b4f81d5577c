"""Images, forget sets and batches: from a Hub id, a folder or the embedded digits to what a model trains on."""
