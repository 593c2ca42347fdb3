"""Real servers on this machine, from wheels, each started and stopped as a child process.

One module for each server says how it is started, how one sees that it is ready, and which settings lead to it.
`processes` runs and watches them, `state` remembers ports, passwords and processes between two starts.
"""
