"""Reading from the Hub: files by their `hf://` path, whole data sets, and what to say of faults on the way."""
