"""How many workers there are and what each may use."""

import pytest

from scheduler.workers import plan_workers


def test_a_laptop_gets_one_worker_with_all_but_two_cores() -> None:
    plan = plan_workers("cpu", 8, 0, chunks=40, workers=None, threads=None)
    assert (plan.workers, plan.threads, plan.decode_threads, plan.gpus_each) == (1, 6, 8, 0.0)


def test_two_cores_still_make_a_worker() -> None:
    plan = plan_workers("cpu", 2, 0, chunks=40, workers=None, threads=None)
    assert (plan.workers, plan.threads, plan.decode_threads) == (1, 4, 2)


def test_there_are_never_more_workers_than_chunks_and_at_least_one() -> None:
    assert plan_workers("cpu", 64, 0, chunks=3, workers=50, threads=None).workers == 3
    assert plan_workers("cpu", 64, 0, chunks=0, workers=None, threads=None).workers == 1


def test_each_gpu_gets_a_worker_of_its_own() -> None:
    plan = plan_workers("cuda", 32, 4, chunks=100, workers=None, threads=None)
    assert (plan.workers, plan.gpus_each, plan.threads) == (4, 1.0, 4)


@pytest.mark.parametrize("gpus", [1, 2, 3, 8])
@pytest.mark.parametrize("workers", range(1, 20))
def test_all_workers_fit_on_the_gpus_without_straddling(gpus: int, workers: int) -> None:
    plan = plan_workers("cuda", 32, gpus, chunks=100, workers=workers, threads=None)
    assert 0 < plan.gpus_each <= 1
    assert int(1 / plan.gpus_each + 1e-9) * gpus >= plan.workers


def test_a_share_of_a_gpu_is_shared_on() -> None:
    plan = plan_workers("cuda", 4, 0.5, chunks=100, workers=2, threads=None)
    assert plan.gpus_each == 0.25


def test_a_gpu_provider_without_gpus_and_a_cpu_provider_with_them_take_none() -> None:
    assert plan_workers("cuda", 8, 0, chunks=9, workers=2, threads=None).gpus_each == 0
    assert plan_workers("cpu", 8, 2, chunks=9, workers=2, threads=None).gpus_each == 0


def test_what_the_user_asks_for_is_taken() -> None:
    plan = plan_workers("cpu", 8, 0, chunks=40, workers=3, threads=11)
    assert (plan.workers, plan.threads) == (3, 11)


def test_a_decoder_gets_no_more_threads_than_its_delay_allows() -> None:
    assert plan_workers("cpu", 128, 0, chunks=40, workers=1, threads=None).decode_threads == 16
