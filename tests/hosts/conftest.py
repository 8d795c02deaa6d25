# SPDX-License-Identifier: LGPL-2.1-or-later
"""These tests run in virtual machines, so they don't need the session of tests/system."""


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: boots a whole system, more than a second")
