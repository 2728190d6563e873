"""Ports: no two instances get the same block."""

import socket

from actors.island.ports import BLOCK_SIZE, is_free, reserve_block


def test_two_blocks_never_overlap_while_both_are_held() -> None:
    first, second = reserve_block(), reserve_block()

    assert abs(first.base - second.base) >= BLOCK_SIZE

    first.close()
    second.close()


def test_every_port_of_a_block_is_its_own() -> None:
    block = reserve_block()
    singles = [
        block.haproxy_stats,
        block.haproxy_metrics,
        block.fallback_http,
        block.fallback_grpc,
        block.runtime_env_agent,
    ]
    ranges = [range(low, high + 1) for low, high in (block.replica_http, block.replica_grpc)]

    ports = [*singles, *(port for span in ranges for port in span)]

    assert len(ports) == len(set(ports))
    assert all(block.base <= port < block.base + BLOCK_SIZE for port in ports)
    block.close()


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free("127.0.0.1", port)

    assert is_free("127.0.0.1", port)
