"""A Sparkplug B edge node of pysparkplug: PORT [USER PASSWORD], steered by lines on its input.

  data NAME VALUE     update a metric of the node
  alias VALUE         update `temp` by its alias alone
  device NAME VALUE   update a metric of the device p-2
  skip                as if a message were lost
  undevice            the device dies
  die                 the process ends without a word, so the broker says its will
"""

import itertools
import json
import os
import sys
import threading
import time

from pysparkplug import (
    Client,
    DataType,
    DBirth,
    Device,
    EdgeNode,
    Message,
    MessageType,
    Metric,
    NBirth,
    NData,
    QoS,
    Topic,
    get_current_timestamp,
)

GROUP, NODE, DEVICE = "north", "gw", "p-2"
ALIASES = {"temp": 1, "Inputs/flow": 2, "serial": 3, "vibration": 4, "running": 5}
TYPES = {
    "temp": DataType.DOUBLE,
    "Inputs/flow": DataType.INT32,
    "serial": DataType.STRING,
    "vibration": DataType.FLOAT,
    "running": DataType.BOOLEAN,
}


def metric(name, value, named=True):
    return Metric(
        timestamp=get_current_timestamp(),
        name=name if named else None,
        datatype=TYPES[name],
        value=value,
        alias=ALIASES[name],
    )


def parse(name, text):
    return int(text) if TYPES[name] == DataType.INT32 else float(text)


def publish(edge, kind, payload, device=None, include_dtypes=True):
    topic = Topic(message_type=kind, group_id=GROUP, edge_node_id=NODE, device_id=device)
    message = Message(topic=topic, payload=payload, qos=QoS.AT_MOST_ONCE, retain=False)
    edge._client.publish(message, include_dtypes=include_dtypes)


def birth(edge):
    """The library has no rebirth: the same messages as at its connect."""
    edge._EdgeNode__seq_cycler = itertools.cycle(range(256))
    session = Metric(get_current_timestamp(), "bdSeq", DataType.INT64, value=0)
    metrics = (*edge.metrics.values(), session)
    publish(edge, MessageType.NBIRTH, NBirth(get_current_timestamp(), edge._seq, metrics))
    for device in edge.devices.values():
        metrics = tuple(device.metrics.values())
        payload = DBirth(get_current_timestamp(), edge._seq, metrics)
        publish(edge, MessageType.DBIRTH, payload, device.device_id)


def on_command(edge, message):
    wanted = [m for m in message.payload.metrics if m.name == "Node Control/Rebirth"]
    if wanted and wanted[0].value:
        # Publishing from the network thread would wait for itself.
        threading.Thread(target=birth, args=(edge,)).start()


def main():
    port = int(sys.argv[1])
    own = [metric("temp", 20.5), metric("Inputs/flow", -3), metric("serial", "A-17")]
    user, password = (sys.argv[2:] + [None, None])[:2]
    client = Client(username=user, password=password)
    edge = EdgeNode(GROUP, NODE, own, client=client, cmd_callback=on_command)
    edge.register(Device(DEVICE, [metric("vibration", 4.5), metric("running", True)]))
    edge.connect("127.0.0.1", port=port, keepalive=5, blocking=False)
    while not edge._connected:
        time.sleep(0.01)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "data":
            edge.update([metric(words[1], parse(words[1], words[2]))])
        elif words[0] == "alias":
            values = (metric("temp", float(words[1]), named=False),)
            payload = NData(get_current_timestamp(), edge._seq, values)
            publish(edge, MessageType.NDATA, payload, include_dtypes=False)
        elif words[0] == "device":
            edge.update_device(DEVICE, [metric(words[1], parse(words[1], words[2]))])
        elif words[0] == "skip":
            edge._seq
        elif words[0] == "undevice":
            edge.deregister(DEVICE)
        elif words[0] == "die":
            os._exit(1)


main()
