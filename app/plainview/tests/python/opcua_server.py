"""An OPC UA server for the tests, steered by lines on its input.

Arguments: port, folder for certificate and history, `open` or `secure`, first count, tanks, and the
port it names to clients when it stands behind another. Prints one line of JSON when it listens. `Pump/Count` counts up ten times a second and is kept in history,
as are the tanks' levels.
Commands: `set Speed VALUE SECONDS_AGO`, `status Speed CODE`, `pause`, `resume`; `record COUNT FIRST`
writes so many levels a millisecond apart into every tank's history and then makes the file
`recorded-FIRST`; `page COUNT` is how many values a page of history may have.
"""

import asyncio
import hashlib
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.history_sql import HistorySQLite
from asyncua.server.user_managers import UserManager
from asyncua.ua.ua_binary import variant_to_binary
from asyncua.crypto.permission_rules import User, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

URI = "urn:plainview:test-server"
NAMESPACE = "urn:plant"


class OneUser(UserManager):
    def get_user(self, iserver, username=None, password=None, certificate=None):
        known = username == "reader" and password == "canary-opc"
        return User(role=UserRole.User) if known else None


async def make(port, named, folder, secure):
    server = Server(user_manager=OneUser()) if secure else Server()
    await server.init()
    server.socket_address = ("127.0.0.1", port)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{named}/plant/")
    await server.set_application_uri(URI)
    thumbprint = None
    if secure:
        key, certificate = folder / "key.pem", folder / "cert.der"
        await setup_self_signed_certificate(
            key, certificate, URI, "127.0.0.1",
            [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
            {"commonName": "test plant", "organizationName": "plainview"},
        )
        thumbprint = hashlib.sha1(certificate.read_bytes()).hexdigest()
        kinds = ua.SecurityPolicyType
        server.set_security_policy(
            [kinds.Basic256Sha256_Sign, kinds.Basic256Sha256_SignAndEncrypt,
             kinds.Aes128Sha256RsaOaep_SignAndEncrypt, kinds.Aes256Sha256RsaPss_SignAndEncrypt],
            permission_ruleset=SimpleRoleRuleset(),
        )
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    storage = HistorySQLite(str(folder / "history.db"))
    await storage.init()
    server.iserver.history_manager.set_storage(storage)
    return server, thumbprint


async def plant(server, tanks):
    index = await server.register_namespace(NAMESPACE)
    pump = await server.nodes.objects.add_object(ua.NodeId("Pump", index), ua.QualifiedName("Pump", index))
    motor = await pump.add_object(ua.NodeId("Pump.Motor", index), ua.QualifiedName("Motor", index))
    nodes = {}
    for parent, name, value, kind in (
        (pump, "Count", 0, ua.VariantType.Int32),
        (pump, "Speed", 1480.5, ua.VariantType.Double),
        (pump, "Running", True, ua.VariantType.Boolean),
        (pump, "Label", "P-1", ua.VariantType.String),
        (motor, "Temp", 61.25, ua.VariantType.Float),
    ):
        # The history's tables are named after nodes, and take no letters and dots.
        node = ua.NodeId(1001 if name == "Count" else f"Pump.{name}", index)
        nodes[name] = await parent.add_variable(
            node, ua.QualifiedName(name, index), value, varianttype=kind
        )
    levels = []
    for tank in range(tanks):
        node = ua.NodeId(2000 + tank, index)
        name = ua.QualifiedName(f"Level{tank}", index)
        levels.append(await pump.add_variable(node, name, 1.0, varianttype=ua.VariantType.Double))
    return nodes, levels


async def record(server, folder, levels, count, first):
    """What a server writes when nobody listens, in one go."""
    storage = server.iserver.history_manager.storage
    begin = datetime.now(timezone.utc) - timedelta(milliseconds=count + 200)
    for level in levels:
        rows = []
        for number in range(count):
            at = begin + timedelta(milliseconds=number)
            value = ua.Variant(float(first + number), ua.VariantType.Double)
            rows.append((at, at, 0, str(value.Value), "Double", variant_to_binary(value)))
        table = storage._get_table_name(level.nodeid)
        await storage._db.executemany(f'INSERT INTO "{table}" VALUES (NULL, ?, ?, ?, ?, ?, ?)', rows)
    await storage._db.commit()
    (folder / f"recorded-{first}").touch()


async def write(node, value, kind, at, status=ua.StatusCodes.Good):
    value = ua.DataValue(
        ua.Variant(value, kind), ua.StatusCode(status), SourceTimestamp=at, ServerTimestamp=at
    )
    await node.write_value(value)


async def count(node, number, going):
    while True:
        await going.wait()
        await write(node, number, ua.VariantType.Int32, datetime.now(timezone.utc))
        number += 1
        await asyncio.sleep(0.1)


async def obey(server, folder, nodes, levels, going):
    speed = 1480.5
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := (await reader.readline()).decode().split():
        match line:
            case ["set", name, value, ago]:
                at = datetime.now(timezone.utc) - timedelta(seconds=float(ago))
                speed = float(value)
                await write(nodes[name], speed, ua.VariantType.Double, at)
            case ["status", name, code]:
                at = datetime.now(timezone.utc)
                status = getattr(ua.StatusCodes, code)
                await write(nodes[name], speed, ua.VariantType.Double, at, status)
            case ["record", count, first]:
                await record(server, folder, levels, int(count), int(first))
            case ["page", count]:
                storage = server.iserver.history_manager.storage
                storage.max_history_data_response_size = int(count)
            case ["pause"]:
                going.clear()
            case ["resume"]:
                going.set()


async def main():
    port, folder, mode, first = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    named = int(sys.argv[6]) if len(sys.argv) > 6 else port
    server, thumbprint = await make(port, named, folder, mode == "secure")
    nodes, levels = await plant(server, int(sys.argv[5]) if len(sys.argv) > 5 else 0)
    async with server:
        await server.historize_node_data_change(nodes["Count"], period=timedelta(days=1))
        for level in levels:
            await server.historize_node_data_change(level, period=timedelta(days=1))
        going = asyncio.Event()
        going.set()
        counting = asyncio.create_task(count(nodes["Count"], first, going))
        endpoint = f"opc.tcp://127.0.0.1:{named}/plant/"
        print(json.dumps({"endpoint": endpoint, "thumbprint": thumbprint}), flush=True)
        await obey(server, folder, nodes, levels, going)
        counting.cancel()


asyncio.run(main())
