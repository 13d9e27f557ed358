"""How many workers there are, where, and what each may use."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from farm.errors import ClusterError, ProviderError
from farm.node.facts import Trial
from scheduler.workers import NodeOffer, WorkerCost, WorkerPlan, WorkerWish, plan_workers
from tests.scheduler.offers import GIB, gpu, node


def plan(*offers: NodeOffer, chunks: int = 100, **wish: Any) -> WorkerPlan:
    return plan_workers(offers, WorkerWish(chunks=chunks, **wish))


def by_node(made: WorkerPlan) -> dict[str, int]:
    return dict(Counter(seat.node for seat in made.seats))


def test_a_laptop_gets_one_worker_with_all_but_two_cores() -> None:
    (seat,) = plan(node(cores=8)).seats
    assert (seat.provider, seat.threads, seat.decode_threads) == ("cpu", 6, 8)
    assert (seat.gpu_share, seat.node_id, seat.node) == (0.0, "id-one", "one")


def test_two_cores_still_make_a_worker() -> None:
    (seat,) = plan(node(cores=2)).seats
    assert (seat.threads, seat.decode_threads) == (4, 2)


def test_there_are_never_more_workers_than_chunks_and_at_least_one() -> None:
    assert plan(node(cores=64), chunks=3, workers=50).workers == 3
    assert plan(node(cores=64), chunks=0).workers == 1


def test_each_gpu_gets_a_worker_of_its_own() -> None:
    made = plan(node(cores=32, gpus=tuple(gpu(n) for n in range(4))))
    assert [(s.provider, s.gpu_share, s.threads) for s in made.seats] == [("cuda", 1.0, 4)] * 4


@pytest.mark.parametrize("gpus", [1, 2, 3, 8])
@pytest.mark.parametrize("workers", range(1, 20))
def test_all_workers_fit_on_the_gpus_without_straddling(gpus: int, workers: int) -> None:
    made = plan(node(cores=32, gpus=tuple(gpu(n) for n in range(gpus))), workers=workers)
    assert made.workers == min(workers, 8 * gpus)
    share = made.seats[0].gpu_share
    assert 0 < share <= 1
    assert int(1 / share + 1e-9) * gpus >= made.workers


def test_a_share_of_a_gpu_is_shared_on() -> None:
    made = plan(node(cores=4, gpus=(gpu(),), ray_gpus=0.5), workers=2)
    assert [seat.gpu_share for seat in made.seats] == [0.25, 0.25]


def test_a_gpu_that_fails_its_trial_is_not_counted() -> None:
    made = plan(node(cores=32, gpus=(gpu(0, broken=True), gpu(1), gpu(2))))
    assert [(seat.provider, seat.gpu_share) for seat in made.seats] == [("cuda", 1.0)] * 2
    assert [seat.devices for seat in made.seats] == ["GPU-1", "GPU-2"]


def test_ray_chooses_the_device_where_all_are_sound_and_workers_on_cores_see_none() -> None:
    made = plan(node(gpus=(gpu(0), gpu(1))))
    assert [seat.devices for seat in made.seats] == [None, None]
    assert plan(node(gpus=(gpu(),)), provider="cpu").seats[0].devices == ""
    assert plan(node()).seats[0].devices is None


def test_a_node_whose_gpus_are_all_broken_works_on_its_cores() -> None:
    assert [seat.provider for seat in plan(node(gpus=(gpu(broken=True),))).seats] == ["cpu"]


def test_gpus_that_ray_was_not_told_of_are_left_alone() -> None:
    offer = node(gpus=(gpu(),), ray_gpus=0)
    assert plan(offer).seats[0].provider == "cpu"
    with pytest.raises(ProviderError, match="Ray was told of no GPU"):
        plan(offer, provider="cuda")


def test_gpu_nodes_and_cpu_nodes_work_on_the_same_job_and_gpus_come_first() -> None:
    made = plan(node("cpu", cores=16), node("gpu", gpus=(gpu(0), gpu(1))))
    assert by_node(made) == {"gpu": 2, "cpu": 2}
    assert made.seats[0].node == "gpu"
    assert made.providers == ("cuda", "cpu")


def test_the_same_provider_can_be_demanded() -> None:
    made = plan(node("cpu"), node("gpu", gpus=(gpu(),)), same_provider=True)
    assert by_node(made) == {"gpu": 1}
    assert made.notes == ("node cpu is left out: it has cpu, not cuda (--same-provider)",)


def test_few_workers_are_spread_over_the_nodes() -> None:
    made = plan(node("a", cores=32), node("b", cores=32), node("c", cores=32), workers=4)
    assert by_node(made) == {"a": 2, "b": 1, "c": 1}


def test_without_networks_gpus_are_not_taken() -> None:
    made = plan(node(gpus=(gpu(),)), networks=False)
    assert [(seat.provider, seat.gpu_share) for seat in made.seats] == [("cpu", 0.0)]


def test_a_provider_that_no_node_has_is_refused_with_each_nodes_reason() -> None:
    with pytest.raises(ProviderError, match=r"node a .*cuda did not load; node b .*not there"):
        plan(node("a", gpus=(gpu(broken=True),)), node("b"), provider="cuda")


def test_a_broken_driver_is_named_as_the_reason() -> None:
    with pytest.raises(ProviderError, match="the NVIDIA driver does not answer"):
        plan(node(gpu_problem="the NVIDIA driver does not answer"), provider="cuda")


def test_a_node_that_cannot_encode_is_left_out_and_named() -> None:
    broken = node("b", encoders=(Trial(name="libx264", problem="is broken"),))
    made = plan(node("a"), broken, encoder="libx264")
    assert by_node(made) == {"a": 1}
    assert made.notes == ("node b is left out: libx264 is broken",)
    with pytest.raises(ClusterError, match="h264_nvenc does not open"):
        plan(node("a"), encoder="h264_nvenc")


def test_a_node_with_a_problem_is_left_out() -> None:
    made = plan(node("a"), node("b", problem="PyAV is missing"))
    assert made.notes == ("node b is left out: PyAV is missing",)


def test_a_cluster_without_nodes_is_an_error() -> None:
    with pytest.raises(ClusterError, match="Ray knows of no living node"):
        plan()


def test_nobody_waits_for_a_slot_that_ray_does_not_have() -> None:
    made = plan(node(cores=8, slots=2), workers=6)
    assert made.workers == 2
    assert made.notes == ("6 workers were asked for, 2 fit",)
    with pytest.raises(ClusterError, match="no CPU slot"):
        plan(node(slots=0))


def test_what_the_user_asks_for_is_taken() -> None:
    made = plan(node(cores=8), workers=3, threads=11)
    assert [seat.threads for seat in made.seats] == [11, 11, 11]


def test_a_decoder_gets_no_more_threads_than_its_delay_allows() -> None:
    assert plan(node(cores=128), workers=1).seats[0].decode_threads == 16


@pytest.mark.parametrize(
    ("utilisation", "gpu_memory_gib", "workers"),
    [(1.0, 1, 1), (0.5, 1, 2), (0.3, 1, 3), (0.3, 9, 2), (0.3, 21, 1), (0.01, 1, 8)],
)
def test_a_gpu_is_shared_as_its_load_and_memory_allow(
    utilisation: float, gpu_memory_gib: int, workers: int
) -> None:
    cost = WorkerCost(
        memory_bytes=GIB, gpu_memory_bytes=gpu_memory_gib * GIB, gpu_utilisation=utilisation
    )
    made = plan(node(cores=32, gpus=(gpu(),)), costs={"id-one": cost})
    assert made.workers == workers
    assert made.seats[0].gpu_share * workers <= 1


def test_more_than_fits_is_refused_to_the_user_too() -> None:
    cost = WorkerCost(memory_bytes=GIB, gpu_memory_bytes=9 * GIB, gpu_utilisation=0.1)
    made = plan(node(cores=32, gpus=(gpu(),)), workers=6, costs={"id-one": cost})
    assert made.workers == 2
    assert made.notes == ("6 workers were asked for, 2 fit",)


def test_few_cores_keep_a_gpu_from_being_shared() -> None:
    cost = WorkerCost(memory_bytes=GIB, gpu_memory_bytes=GIB, gpu_utilisation=0.2)
    assert plan(node(cores=4, gpus=(gpu(),)), costs={"id-one": cost}).workers == 2


def test_the_memory_of_a_node_bounds_its_workers() -> None:
    cost = WorkerCost(memory_bytes=30 * GIB)
    assert plan(node(cores=64), costs={"id-one": cost}).workers == 1


def test_equal_workers_can_be_stated() -> None:
    made = WorkerPlan.alike(3, threads=2)
    assert made.workers == 3
    assert made.seats[0].threads == 2
