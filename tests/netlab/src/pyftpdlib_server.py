"""An FTP server for the tests: pyftpdlib with one account and a log of every command and reply.

Arguments: port, user, password, home directory, log file, addresses.
"""

import logging
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

NOBODY = 65534

port, user, password, home, log, *addresses = sys.argv[1:]
logging.basicConfig(filename=log, level=logging.DEBUG, format="%(asctime)s %(message)s")

authorizer = DummyAuthorizer()
authorizer.add_user(user, password, home, perm="elradfmwMT")


class Handler(FTPHandler):
    """Takes the commands of one session."""

    auth_failed_timeout = 0
    use_gmt_times = True


Handler.authorizer = authorizer

servers = [FTPServer((address, int(port)), Handler, backlog=512) for address in addresses]
for server in servers:
    server.max_cons = 512
    server.max_cons_per_ip = 0
os.setgroups([])
os.setgid(NOBODY)
os.setuid(NOBODY)
# All of them share one loop.
servers[0].serve_forever(handle_exit=False)
