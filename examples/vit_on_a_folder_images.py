"""Make a folder of PNG images and a deletion request, for `vit_on_a_folder.py` to have something to work on.

For those who want to try that example before they point it at images of their own. Writes scikit-learn's real digits
as train/CLASS/NAME.png and test/CLASS/NAME.png, and `deletion-request.txt`, which lists the file names of half of the
eights. Takes a second.

    python examples/vit_on_a_folder_images.py digits-folder
"""

import sys
from pathlib import Path

from PIL import Image

from unlearn_audit import ForgetSet, load_images
from unlearn_audit.data import Images


def write_images(images: Images, folder: Path) -> list[str]:
    names = []
    for row, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        path = folder / images.class_names[label] / f"{images.split}-{row:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC).save(path)
        names.append(path.name)
    return names


folder = Path(sys.argv[1])
digits = load_images("digits")
write_images(digits.test, folder / "images" / "test")
names = write_images(digits.train, folder / "images" / "train")
asked = ForgetSet.by_class(digits.train, 8, fraction=0.5, seed=0).mask(digits.train)
request = folder / "deletion-request.txt"
request.write_text("".join(f"{name}\n" for name, to_forget in zip(names, asked, strict=True) if to_forget))
print(f"{folder / 'images'}: {len(digits.train)} training and {len(digits.test)} test images")
print(f"{request}: {asked.sum()} file names")
