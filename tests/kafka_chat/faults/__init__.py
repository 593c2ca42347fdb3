"""The fault test: real processes are killed and the broker is restarted while visitors ask.

    plan.py       what happens in a run, all of it drawn from one seed
    system.py     the processes: servers, broker, web, workers
    visitors.py   who asks, over HTTP, as the page does
    chaos.py      who kills
    verdict.py    what must be true at the end
    run.py        one run of all these

`python -m tests.kafka_chat.faults --help` runs many seeds.
"""
