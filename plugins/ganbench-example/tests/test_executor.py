from multiprocessing import active_children

from ganbench import Places
from ganbench.testing import check_executor

from ganbench_example.executor import Pool, ganbench_executor


def kill(pool: Pool) -> None:
    next(process for process in active_children() if "Manager" not in process.name).kill()


def test_executor_keeps_its_contract() -> None:
    check_executor("example", kill)


def test_there_are_no_more_workers_than_runs() -> None:
    assert ganbench_executor(Places(jobs=4, most=3)).workers == 3
