"""Write a stand-in for a pretrained checkpoint, for those who try `existing_original.yaml` without a network.

It has the form of one from the Hub (a ViT with a head for 1,000 other classes and an image processor), and random
weights. With a network, leave this out and give the scripts `--base google/vit-base-patch16-224-in21k`.

    python existing_original_base.py base
"""

import sys

from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, set_seed

set_seed(0)
sizes = {"image_size": 16, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ViTForImageClassification(ViTConfig(**sizes, intermediate_size=64, num_labels=1000)).save_pretrained(sys.argv[1])
ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(sys.argv[1])
