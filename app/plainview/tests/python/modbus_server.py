"""A Modbus device for the tests: every type in every order, steered by lines on its input.

Prints one line of JSON: the registers as settings have them, and the values they must show.
Commands: `delay SECONDS`, `fail ADDRESS`, `mend`, `set ADDRESS WORD`. Unit 1 and unit 2 answer,
others stay silent.
"""

import asyncio
import json
import struct
import sys

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

VALUES = {
    "u16": (">H", 54321), "i16": (">h", -12345), "u32": (">I", 3234567890),
    "i32": (">i", -1234567890), "u64": (">Q", 9007199254740991), "i64": (">q", -9007199254740991),
    "f32": (">f", 1.5), "f64": (">d", -0.1),
}
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
HOLE = 3

steer = {"delay": 0.0, "fail": None, "set": {}}


def words(packed, order):
    pairs = [packed[i : i + 2] for i in range(0, len(packed), 2)]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    return [int.from_bytes(pair, "big") for pair in pairs]


def build():
    holding, registers, expected = [], [], {}
    for kind, (form, value) in VALUES.items():
        for order in ORDERS:
            sensor = f"north/device/{kind}-{order.lower()}"
            registers.append(
                {"sensor": sensor, "address": len(holding), "type": kind, "order": order}
            )
            expected[sensor] = value
            holding += words(struct.pack(form, value), order)
    for bit in (0, 5):
        sensor = f"north/device/bit-{bit}"
        registers.append({"sensor": sensor, "address": len(holding), "type": f"bit {bit}"})
        expected[sensor] = bit // 5
    holding.append(0b100000)
    changing = len(holding)
    registers.append({"sensor": "north/device/changing", "address": changing, "type": "u16"})
    holding.append(7)
    # Not there, and close enough to be asked for along with the others.
    registers.append(
        {"sensor": "north/device/missing", "address": len(holding) + HOLE, "type": "u16"}
    )
    registers.append(
        {"sensor": "north/device/scaled", "table": "input", "address": 40, "type": "i16",
         "scale": 0.1, "offset": -10, "unit_of_measure": "bar"}
    )
    expected["north/device/scaled"] = 13.4
    for table, bits in (("coil", [True, False, True]), ("discrete", [False, True])):
        for address, bit in enumerate(bits):
            sensor = f"north/device/{table}-{address}"
            registers.append({"sensor": sensor, "table": table, "address": address})
            expected[sensor] = int(bit)
    registers.append({"sensor": "north/other/level", "unit": 2, "address": 0, "type": "f32"})
    expected["north/other/level"] = 42.25
    return holding, registers, expected, changing


async def act(_function, start, address, count, current, _values):
    await asyncio.sleep(steer["delay"])
    for at, word in steer["set"].items():
        if start <= at < start + len(current):
            current[at - start] = word
    failing = steer["fail"]
    if failing is not None and address <= failing < address + count:
        return ExcCodes.DEVICE_FAILURE
    return None


async def obey():
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := (await reader.readline()).decode().split():
        match line:
            case ["delay", seconds]:
                steer["delay"] = float(seconds)
            case ["fail", address]:
                steer["fail"] = int(address)
            case ["mend"]:
                steer["fail"] = None
            case ["set", address, word]:
                steer["set"][int(address)] = int(word)


async def main():
    holding, registers, expected, changing = build()
    bits = lambda values: [SimData(0, values=values, datatype=DataType.BITS)]
    words_at = lambda address, values: [SimData(address, values=values, datatype=DataType.REGISTERS)]
    first = SimDevice(
        1,
        (bits([True, False, True]), bits([False, True]), words_at(0, holding), words_at(40, [234])),
        action=act,
    )
    second = SimDevice(
        2, (bits([False]), bits([False]), words_at(0, words(struct.pack(">f", 42.25), "ABCD")), words_at(0, [0]))
    )
    server = ModbusTcpServer(
        [first, second], address=("127.0.0.1", int(sys.argv[1])), ignore_missing_devices=True
    )
    await server.serve_forever(background=True)
    print(json.dumps({"registers": registers, "expected": expected, "changing": changing}), flush=True)
    await obey()


asyncio.run(main())
