"""On what machine was it measured?"""

import platform

from actors.benching.machine import cpu_model, machine


def test_the_model_of_the_first_processor_is_told() -> None:
    assert cpu_model("processor : 0\nmodel name\t: Sparrow 3: fast\nmodel name\t: Other\n") == "Sparrow 3: fast"


def test_a_nameless_processor_is_told_by_its_architecture() -> None:
    assert cpu_model("processor : 0\n") == platform.machine()


def test_this_machine_can_be_described() -> None:
    told = machine()

    assert isinstance(told["cores"], int)
    assert {"kernel", "cpu", "memory_gb", "load_before", "python"} < set(told)
