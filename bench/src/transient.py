"""TSNet on the case of bench/src/transient.rs; one JSON object on stdout.

usage: transient.py REACHES RUNS

One valve at the end of 6 km of pipe closes in 4 s, 60 s are computed. The pipe is in two halves:
on a single pipe TSNet's closing law acts from its first step, whatever the start.
"""

import contextlib
import json
import os
import sys
import tempfile
import time

INP = """[TITLE]
[JUNCTIONS]
 N1 0 0
 N2 0 0
[RESERVOIRS]
 R1 200
 R2 0
[PIPES]
 P1 R1 N1 3000 500 {roughness} 0 Open
 P2 N1 N2 3000 500 {roughness} 0 Open
[VALVES]
 V1 N2 R2 500 TCV {loss} 0
[OPTIONS]
 Units LPS
 Headloss D-W
 Viscosity 1.0
[TIMES]
 Duration 0
[END]
"""
LENGTH_M, SPEED_MS, DURATION_S, CLOSURE_S = 6000.0, 1200.0, 60.0, 4.0
DIAMETER_M, VELOCITY_MS, HEAD_M, FACTOR = 0.5, 0.763943727, 193.574936, 0.018


def run(reaches):
    import tsnet

    with open("case.inp", "w") as file:
        # The valve takes what the reservoir gives; this roughness in mm is
        # f = 0.018 at the first flow.
        loss = HEAD_M * 2 * 9.81 / VELOCITY_MS**2
        file.write(INP.format(roughness=0.245, loss=loss))
    model = tsnet.network.TransientModel("case.inp")
    model.set_wavespeed(SPEED_MS)
    model.set_time(DURATION_S, LENGTH_M / (reaches * SPEED_MS))
    model.valve_closure("V1", [CLOSURE_S, 0, 0, 1])
    model = tsnet.simulation.Initializer(model, 0, "DD")
    begun = time.process_time()
    model = tsnet.simulation.MOCSimulator(model, "result", "steady")
    spent = time.process_time() - begun
    heads = model.get_link("P2").end_node_head
    points = sum(pipe.number_of_segments + 1 for _, pipe in model.pipes())
    return {"cpu_s": spent, "node_steps": points * (len(heads) - 1), "first_m": heads[0], "peak_m": max(heads)}


def main():
    reaches, runs = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)
        results = [run(reaches) for _ in range(runs)]
    print(json.dumps(results))


main()
