"""The usual way to show a log; its address is the argument."""

# ruff: noqa: S113, T201 (that is how it is usually written)

import sys

import requests

with requests.get(sys.argv[1], stream=True) as response:
    for line in response.iter_lines():
        print(line)
