from ganbench import DataSpec
from ganbench.testing import check_arch

from ganbench_example.arch import Block, ganbench_arch


def test_arch_keeps_its_contract() -> None:
    check_arch("example")


def test_blocks_do_nothing_at_first() -> None:
    gan = ganbench_arch(DataSpec((2,), bounded=False), None, width=8, z_dim=4)
    blocks = [module for module in gan.modules() if isinstance(module, Block)]
    assert len(blocks) == 6
    assert not any(block.f[-1].weight.any() for block in blocks)
