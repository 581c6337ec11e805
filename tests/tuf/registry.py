# SPDX-License-Identifier: Apache-2.0
"""Test cases: plain functions of (repository, client), in the order they are written."""

CASES = []


def case(function):
    CASES.append((function.__name__, function))
    return function


def cases(table):
    """One case per row of a table {name: argument}; the function gets the argument last."""
    def register(function):
        for name, argument in table.items():
            CASES.append((function.__name__ + "[" + str(name) + "]",
                          lambda repo, client, a=argument: function(repo, client, a)))
        return function
    return register


def started(repo, client):
    """A client that trusts the repository as it is."""
    assert client.init() == 0, client.said
    assert client.refresh() == 0, client.said


def refused(client, word=None):
    """The last command must have failed, and for the reason that the test is about."""
    assert word is None or word in client.said, "failed for another reason: " + client.said
