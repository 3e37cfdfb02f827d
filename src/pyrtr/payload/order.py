"""The total order of 8210bis §11.2 and the packed rows that sort by it.

A VRP is one fixed-size row of octets, laid out so that comparing rows as octets compares what the draft compares:

    offset  bytes           field
    0       4 or 16         prefix (address)
    4 / 16  1               max length
    5 / 17  1               prefix length
    6 / 18  4               ASN

Rows ascending is the order of withdrawals (§11.2.1: "all four ascending"), rows descending that of announcements.
A column of rows is a numpy array of a bytes dtype, which sorts, merges and compares whole rows in C. (numpy strips
trailing zero octets when it hands out an element, never when it compares.)
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

import numpy as np
from numpy.typing import NDArray

from pyrtr.payload.values import VRP

Rows = NDArray[np.bytes_]

IPV4_ROW = np.dtype("S10")
IPV6_ROW = np.dtype("S22")


def address_bytes(row_type: np.dtype[np.bytes_]) -> int:
    """Octets of the address in a row: 4 or 16."""
    return row_type.itemsize - 6


def pack_vrp(vrp: VRP) -> bytes:
    """One VRP as its row: 10 octets for IPv4, 22 for IPv6."""
    return vrp.prefix.network_address.packed + bytes((vrp.max_length, vrp.prefix.prefixlen)) + vrp.asn.to_bytes(4)


def unpack_vrp(row: bytes) -> VRP:
    """The VRP of one whole row; the inverse of `pack_vrp`."""
    network = IPv4Network if len(row) == IPV4_ROW.itemsize else IPv6Network
    address, (max_length, prefix_length) = row[:-6], row[-6:-4]
    return VRP(network((address, prefix_length)), max_length, int.from_bytes(row[-4:]))


def rows_of(vrps: Iterable[VRP], row_type: np.dtype[np.bytes_]) -> Rows:
    """The VRPs of one address family as a column, sorted ascending and unique."""
    packed = (pack_vrp(vrp) for vrp in vrps)
    return np.frombuffer(b"".join(sorted({row for row in packed if len(row) == row_type.itemsize})), dtype=row_type)


def vrps_of(rows: Rows) -> list[VRP]:
    """A column as values, in its order: for tests and small sets, not for whole tables."""
    data, size = rows.tobytes(), rows.dtype.itemsize
    return [unpack_vrp(data[start : start + size]) for start in range(0, len(data), size)]


def octets(rows: Rows) -> NDArray[np.uint8]:
    """A column as a matrix of octets, one row a VRP; shares the memory of `rows`."""
    return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)


def has_host_bits(addresses: NDArray[np.uint8], lengths: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """For each prefix, whether any bit of its address after the prefix length is set.

    Args:
        addresses: n x 4 or n x 16 octets.
        lengths: prefix lengths, 0..32 or 0..128.
    """
    bits = np.arange(addresses.shape[1] * 8)
    host_masks = np.packbits(bits[None, :] >= np.arange(len(bits) + 1)[:, None], axis=1)
    result = np.zeros(len(addresses), np.bool_)
    for octet in range(addresses.shape[1]):
        result |= (addresses[:, octet] & host_masks[lengths, octet]) != 0
    return result


def asn_column(rows: Rows) -> NDArray[np.uint32]:
    """The ASN of each row of a column."""
    return octets(rows)[:, -4:].copy().view(">u4").reshape(-1).astype(np.uint32)
