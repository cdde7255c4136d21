from types import SimpleNamespace

import torch
from ganbench import Match
from ganbench.testing import check_trick

from ganbench_example.trick import FADED, Blur, blur


def test_trick_keeps_its_contract() -> None:
    check_trick("example")


def test_blur_fades_until_d_sees_the_very_images() -> None:
    x = torch.rand(2, 3, 16, 12)
    turns = [SimpleNamespace(progress=share * FADED) for share in (0, 0.5, 0.9, 1)]
    seen = [Blur().match(Match(lambda x: x, x, x), turn).D(x) for turn in turns]
    contrast = [float(x.std()) for x in seen]
    assert contrast == sorted(contrast)
    assert seen[-1] is x


def test_blur_leaves_an_even_image_as_it_is() -> None:
    x = torch.full((1, 1, 8, 8), 0.5)
    assert torch.allclose(blur(x, 0.1), x)
