"""Models: CIFAR ResNets registered with timm, loading by name, folder or Hub id, embeddings."""
