"""Records that cross processes: nothing is lost, and little is sent."""

import pickle
from dataclasses import dataclass, field

from actors.protocol.sending import Packed, Sendable


@dataclass(frozen=True, slots=True)
class Parcel(Sendable):
    name: str
    weight_kg: float = 1.0
    labels: tuple[str, ...] = field(default=(), repr=False)


def test_a_record_comes_out_as_it_went_in() -> None:
    parcel = Parcel("books", 2.5, ("fragile",))

    assert pickle.loads(pickle.dumps(parcel)) == parcel


def test_only_its_values_travel() -> None:
    assert Parcel("books").__reduce__() == (Parcel, ("books", 1.0, ()))


def test_what_is_packed_arrives_as_itself() -> None:
    records = [Parcel("books"), Parcel("shoes")]

    assert pickle.loads(pickle.dumps(Packed(records))) == records


def test_what_is_packed_is_as_it_was_then() -> None:
    records = [Parcel("books")]
    packed = Packed(records)
    records.append(Parcel("shoes"))

    assert pickle.loads(pickle.dumps(packed)) == [Parcel("books")]
