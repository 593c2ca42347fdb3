"""A mix of visitors on the whole system, and a long run in which much is killed and cut.

mix.py         who asks, how often, and what the scripted model says
sockets.py     pages of the WebSocket chat and of the data agent
visitors.py    one visitor of each kind
tally.py       what came of the questions
watching.py    memory and processor time of each process
report.py      table, JSON and plots
accounts.py    analysts and their sign-ins, made on the system
__main__.py    the load: `make load`
"""
