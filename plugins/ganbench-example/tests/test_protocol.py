from ganbench.testing import check_protocol


def test_protocol_keeps_its_contract() -> None:
    check_protocol("example-v1")
