"""Run the fault test with many seeds: `python -m tests.kafka_chat.faults --seeds 10 --questions 300 --kafka apache`."""

import argparse
import asyncio
import sys

from tests.kafka_chat.faults.run import PromiseBroken, run
from tests.servers import forget_settings

parser = argparse.ArgumentParser(prog="python -m tests.kafka_chat.faults", description="Kill processes, and look.")
parser.add_argument("--seeds", type=int, default=10, metavar="N", help="number of runs (default: 10)")
parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="seed of the first run (default: 1)")
parser.add_argument("--questions", type=int, default=300, metavar="N", help="questions in each run (default: 300)")
parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded", help="the broker")
arguments = parser.parse_args()
forget_settings()
broken = 0
for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
    try:
        print(asyncio.run(run(seed, arguments.questions, arguments.kafka)), flush=True)
    except PromiseBroken as error:
        broken += 1
        print(error, flush=True)
print(f"{arguments.seeds - broken} of {arguments.seeds} runs kept every promise.")
sys.exit(broken > 0)
